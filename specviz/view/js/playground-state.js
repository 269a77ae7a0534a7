// What the playground shows: two small distributions, the token said to be drafted, and the rules with their knobs.
// `play.now` holds everything computed from it, exactly. Nothing here touches the page.
(function (root) {
  "use strict";
  const sv = (root.specviz = root.specviz || {});
  const MAX_TOKENS = 12;
  const MAX_ROWS = 24;
  const NAME_LENGTH = 24;
  const hearers = [];

  // name, tokens [name, draft, verifier], drafted token, knobs per rule (a list gives a row each), rule in focus [name, row]
  const PRESETS = {
    worked: ["Worked example", [["blue", 0.8, 0.35], ["clear", 0.06, 0.31], ["grey", 0.09, 0.04], ["dark", 0.03, 0.2], ["red", 0.02, 0.1]], 0,
      { cactus: [{ delta: 1 }, { delta: 0.21 }, { delta: 0.05 }] }, ["cactus", 1]],
    typical: ["Typical stricter than strict", [["the", 0.42, 0.62], ["a", 0.2, 0.054], ["his", 0.12, 0.054], ["her", 0.08, 0.054], ["my", 0.06, 0.054], ["no", 0.05, 0.054], ["its", 0.04, 0.055], ["one", 0.03, 0.055]], 2,
      { cactus: [{ delta: 1 }, { delta: 0.01 }] }, ["tas", 0]],
    confident: ["Confident verifier", [["Paris", 0.55, 0.96], ["Lyon", 0.25, 0.015], ["France", 0.12, 0.015], ["Nice", 0.08, 0.01]], 1,
      { cactus: [{ delta: 1 }, { delta: 0.1 }] }, ["cactus", 0]],
    flat: ["Flat verifier", [["one", 0.34, 0.13], ["two", 0.22, 0.13], ["three", 0.14, 0.13], ["four", 0.1, 0.13], ["five", 0.08, 0.12], ["six", 0.06, 0.12], ["seven", 0.04, 0.12], ["eight", 0.02, 0.12]], 0,
      { cactus: [{ delta: 1 }, { delta: 0.05 }, { delta: 0.005 }] }, ["cactus", 1]],
    two: ["Two answers are fine", [["blue", 0.5, 0.4], ["grey", 0.08, 0.34], ["dark", 0.24, 0.12], ["clear", 0.03, 0.09], ["red", 0.12, 0.03], ["empty", 0.03, 0.02]], 2,
      { cactus: [{ delta: 1 }, { delta: 0.1 }, { delta: 0.03 }, { delta: 0.01 }], mentored: [{ budget: 0.1 }], top_k: [{ k: 3 }] }, ["cactus", 2]],
  };

  const state = { names: [], draft: [], verifier: [], token: 0, rows: [], focus: 0, preset: null, moving: false };
  const play = { state, now: null, open: false };
  let ids = 0;

  const known = () => sv.boot_data().rules;
  const ruleNames = () => Object.keys(known()).filter((rule) => sv.laws.knows(rule));
  const missing = () => Object.keys(known()).filter((rule) => rule !== "plain" && !sv.laws.knows(rule));
  const knobsOf = (rule) => known()[rule].knobs;
  const mainKnob = (rule) => knobsOf(rule).find((knob) => !knob.choices) || null;
  const row = (rule, knobs) => ({ id: (ids += 1), rule, knobs: { ...sv.defaults(rule), ...knobs } });

  function normalised(weights) {
    const total = weights.reduce((a, b) => a + b, 0);
    return total > 0 ? weights.map((weight) => weight / total) : weights.map(() => 1 / weights.length);
  }

  // Sets one probability; the others keep their proportions (in `from`, where they still have some) and fill the rest.
  function moved(probs, index, value, from = probs) {
    const rest = from.reduce((total, p, i) => (i === index ? total : total + p), 0);
    const fixed = Math.min(1, Math.max(0, value));
    return normalised(from.map((p, i) => (i === index ? fixed : (1 - fixed) * (rest > 0 ? p / rest : 1 / (from.length - 1)))));
  }

  // "delta must be from 0 to 10 nats." for a value a knob does not take, else "".
  function refusal(knob, value) {
    if (knob.choices) return knob.choices.includes(value) ? "" : `${knob.name} must be one of ${knob.choices.join(", ")}.`;
    if (typeof value !== "number" || !Number.isFinite(value)) return `${knob.name} must be a number${range(knob)}.`;
    if (knob.type === "int" && !Number.isInteger(value)) return `${knob.name} must be a whole number${range(knob)}.`;
    const below = knob.low !== null && (value < knob.low || (knob.open_low && value === knob.low));
    return below || (knob.high !== null && value > knob.high) ? `${knob.name} must be a number${range(knob)}.` : "";
  }

  function range(knob) {
    if (knob.low === null) return "";
    const top = knob.high === null ? "" : knob.open_low ? ` and at most ${knob.high}` : ` to ${knob.high}`;
    return ` ${knob.open_low ? "above" : knob.high === null ? "of at least" : "from"} ${knob.low}${top}${knob.unit ? ` ${knob.unit}` : ""}`;
  }

  // Places 0..1 on a knob's slider and back; also the values its line in the plot is drawn through.
  function scale(knob) {
    const low = knob.low ?? 0;
    const high = Math.min(knob.high ?? 10, knob.type === "int" ? Math.max(low + 1, state.names.length) : 10);
    if (knob.type === "int") return { to: (value) => (value - low) / (high - low), from: (at) => Math.round(low + at * (high - low)), steps: high - low };
    if (knob.scale === "log") {
      const floor = low > 0 ? low : high / 1e5;
      return {
        to: (value) => (value <= floor ? 0 : Math.min(1, Math.log(value / floor) / Math.log(high / floor))),
        from: (at) => (at <= 0 ? (knob.open_low ? floor : low) : floor * (high / floor) ** at), steps: 0,
      };
    }
    const least = knob.open_low ? low + (high - low) / 1000 : low;
    return { to: (value) => (value - low) / (high - low), from: (at) => Math.max(least, low + at * (high - low)), steps: 0 };
  }

  // What the knob of a row does from end to end: points {kl, acceptance, value}. `steps`: it only jumps between a few.
  function line(one, count) {
    const knob = mainKnob(one.rule);
    if (!knob) return null;
    const at = scale(knob);
    const many = at.steps || count;
    const points = Array.from({ length: many + 1 }, (_, i) => {
      const value = at.from(i / many);
      const { kl, acceptance } = sv.laws.judge(one.rule, state.verifier, state.draft, { ...one.knobs, [knob.name]: value });
      return { kl, acceptance, value };
    });
    const distinct = new Set(points.map((point) => `${point.kl.toFixed(9)} ${point.acceptance.toFixed(9)}`)).size;
    return { points, distinct, steps: at.steps > 0 || distinct <= Math.min(many / 2, state.names.length + 2) };
  }

  // Everything the page shows, from the two distributions.
  function compute() {
    const { verifier, draft } = state;
    const frontier = sv.laws.frontier(verifier, draft);
    const strict = verifier.map((q, n) => (draft[n] > q ? q / draft[n] : 1));
    const rows = state.rows.map((one) => {
      const judged = sv.laws.judge(one.rule, verifier, draft, one.knobs);
      return { ...one, ...judged, lossless: known()[one.rule].lossless, short: Math.max(0, frontier.best(judged.kl) - judged.acceptance) };
    });
    const drawn = new Map();
    rows.forEach((one) => {
      const words = knobsOf(one.rule).filter((knob) => knob !== mainKnob(one.rule)).map((knob) => one.knobs[knob.name]);
      const key = [one.rule, ...words].join(" ");
      if (!drawn.has(key)) drawn.set(key, { rule: one.rule, rows: [], ...line(one, state.moving ? 24 : 40) });
      drawn.get(key).rows.push(one.id);
    });
    play.now = { frontier, strict, rows, lines: [...drawn.values()].filter((one) => one.points) };
    play.now.focus = rows.find((one) => one.id === state.focus) || rows[0];
    return play.now;
  }

  function changed(what = "probs") {
    if (what !== "focus" && what !== "preset" && what !== "end") state.preset = null;
    compute();
    hearers.forEach((hear) => hear(what));
  }

  function choose(key) {
    const [, tokens, token, knobs, [rule, place]] = PRESETS[key];
    state.names = tokens.map(([name]) => name);
    state.draft = normalised(tokens.map(([, p]) => p));
    state.verifier = normalised(tokens.map(([, , q]) => q));
    state.token = token;
    state.rows = ruleNames().flatMap((one) => (knobs[one] || [{}]).map((values) => row(one, values)));
    state.focus = (state.rows.filter((one) => one.rule === rule)[place] || state.rows[0]).id;
    state.preset = key;
    changed("preset");
  }

  function addToken() {
    if (state.names.length >= MAX_TOKENS) return `The playground holds at most ${MAX_TOKENS} tokens.`;
    let number = state.names.length + 1;
    while (state.names.includes(`token ${number}`)) number += 1;
    state.names = [...state.names, `token ${number}`];
    state.draft = moved([...state.draft, 0], state.names.length - 1, 0.05);
    state.verifier = moved([...state.verifier, 0], state.names.length - 1, 0.05);
    changed("tokens");
    return "";
  }

  function removeToken(index) {
    if (state.names.length <= 2) return "At least 2 tokens are needed.";
    const without = (values) => values.filter((_, i) => i !== index);
    state.names = without(state.names);
    state.draft = normalised(without(state.draft));
    state.verifier = normalised(without(state.verifier));
    state.token = Math.min(state.token > index ? state.token - 1 : state.token, state.names.length - 1);
    changed("tokens");
    return "";
  }

  // A name as it may be kept, and a sentence where it is not what was typed.
  function rename(index, text) {
    const letters = [...text.replace(/\s+/g, " ").trim()];
    if (!letters.length) return "A token needs a name; the old one stays.";
    state.names = state.names.map((name, i) => (i === index ? letters.slice(0, NAME_LENGTH).join("") : name));
    changed("names");
    return letters.length > NAME_LENGTH ? `A name has at most ${NAME_LENGTH} characters; the rest was cut.` : "";
  }

  // Splits a row: the same rule once more, its main knob a little tighter.
  function addRow(id) {
    const at = state.rows.findIndex((one) => one.id === id);
    if (state.rows.length >= MAX_ROWS) return `The table holds at most ${MAX_ROWS} rows.`;
    const { rule, knobs } = state.rows[at];
    const knob = mainKnob(rule);
    const value = knob && (knob.type === "int" ? knobs[knob.name] + 1 : scale(knob).from(Math.max(0.02, scale(knob).to(knobs[knob.name]) - 0.1)));
    const made = row(rule, knob ? { ...knobs, [knob.name]: knob.type === "int" ? value : +value.toPrecision(2) } : knobs);
    state.rows = state.rows.toSpliced(at + 1, 0, made);
    state.focus = made.id;
    changed("rows");
    return "";
  }

  function removeRow(id) {
    const gone = state.rows.find((one) => one.id === id);
    state.rows = state.rows.filter((one) => one !== gone);
    if (state.focus === id) state.focus = (state.rows.find((one) => one.rule === gone.rule) || state.rows[0]).id;
    changed("rows");
  }

  // The state as text for the address: base64url of JSON.
  function pack() {
    const short = (probs) => probs.map((p) => +p.toPrecision(15));
    const rows = state.rows.map(({ rule, knobs }) => [rule, knobs]);
    const value = { v: 1, names: state.names, draft: short(state.draft), verifier: short(state.verifier), token: state.token, rows, focus: state.rows.findIndex((one) => one.id === state.focus) };
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  // Takes a packed state over. Throws a sentence, and changes nothing, where it is not one.
  function unpack(text) {
    let value = null;
    try {
      if (text.length < 40000) value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0))));
    } catch { /* said below */ }
    if (value === null || typeof value !== "object") throw new Error("The playground link is damaged, so it was ignored.");
    const size = Array.isArray(value.names) ? value.names.length : 0;
    const probs = (list) => Array.isArray(list) && list.length === size && list.every((p) => typeof p === "number" && p >= 0 && p <= 1) && Math.abs(list.reduce((a, b) => a + b, 0) - 1) < 1e-3;
    const fine = value.v === 1 && size >= 2 && size <= MAX_TOKENS && value.names.every((name) => typeof name === "string" && name) && probs(value.draft) && probs(value.verifier) && Array.isArray(value.rows);
    if (!fine) throw new Error("The playground link does not hold two distributions over 2 to 12 tokens, so it was ignored.");
    const rows = value.rows.slice(0, MAX_ROWS).filter((one) => Array.isArray(one) && ruleNames().includes(one[0])).map(([rule, knobs]) => {
      const given = knobsOf(rule).filter((knob) => knobs && Object.hasOwn(knobs, knob.name) && !refusal(knob, knobs[knob.name]));
      return row(rule, Object.fromEntries(given.map((knob) => [knob.name, knobs[knob.name]])));
    });
    ruleNames().forEach((rule) => { if (!rows.some((one) => one.rule === rule)) rows.push(row(rule, {})); });
    state.names = value.names.map((name) => [...name].slice(0, NAME_LENGTH).join(""));
    state.draft = normalised(value.draft);
    state.verifier = normalised(value.verifier);
    state.token = Number.isInteger(value.token) && value.token >= 0 && value.token < size ? value.token : 0;
    state.rows = rows;
    state.focus = (rows[value.focus] || rows[0]).id;
    state.preset = null;
    changed("end");
  }

  Object.assign(play, {
    PRESETS, MAX_TOKENS, NAME_LENGTH, on: (hear) => hearers.push(hear), changed, choose, moved, refusal, scale, mainKnob, knobsOf, missing,
    addToken, removeToken, rename, addRow, removeRow, pack, unpack, bars: {}, chart: {}, table: {}, check: {},
  });
  sv.play = play;
})(typeof window === "undefined" ? globalThis : window);
