// What the playground shows: two small distributions, the token said to be drafted, and the rules with their knobs.
// `now` holds everything computed from it, exactly. Nothing here touches the page.
import { boot, defaults } from "specviz/core/boot.js";
import { decode, encode } from "specviz/core/codes.js";
import * as laws from "specviz/laws/laws.js";
import * as sets from "specviz/laws/sets.js";

export const MAX_TOKENS = 12;
const MAX_ROWS = 32;
const NAME_LENGTH = 24;
/** @typedef {{ id: number, rule: string, knobs: Knobs }} Setting of a rule, which has a row */
/** @typedef {Setting & Judged & { lossless: boolean, short: number }} Row what it comes to; `short` of the best rule */
/** @typedef {{ kl: number, acceptance: number, value: number }} Point of a knob */
/**
 * What the main knob of some rows does from end to end; `steps`: it only jumps between a few.
 * @typedef {{ rule: string, rows: number[], points: Point[], distinct: number, steps: boolean }} Line
 */
/**
 * @typedef {{
 *   frontier: ReturnType<typeof laws.frontier>, strict: number[], rows: Row[], lines: Line[], focus: Row,
 * }} Now
 */
/**
 * @typedef {{
 *   names: string[], draft: Probs, verifier: Probs, token: number, rows: Setting[], focus: number, preset: string | null,
 *   sets: { k: number, drawing: string, knobs: Record<string, Knobs>, preset: string | null },
 *   moving: boolean, open: boolean,
 * }} State
 */

/** @type {((what: string) => void)[]} */
const hearers = [];

/** @type {State} */
export const state = {
  names: [],
  draft: [],
  verifier: [],
  token: 0,
  rows: [],
  focus: 0,
  preset: null,
  // Of several candidates for one place, see laws/sets.js: how many, how they are drawn, the rules' knobs.
  sets: { k: 2, drawing: "iid", knobs: {}, preset: null },
  moving: false,
  open: false,
};
/** @type {Now} */
export let now; // undefined until a preset is chosen
let ids = 0;

const known = () => boot.rules;
const ruleNames = () => Object.keys(known()).filter((rule) => laws.knows(rule));
export const missing = () => Object.keys(known()).filter((rule) => rule !== "plain" && !laws.knows(rule));
/** @param {string} rule */
export const knobsOf = (rule) => known()[rule].knobs;
/** @param {string} rule */
export const mainKnob = (rule) => knobsOf(rule).find((knob) => !knob.choices) || null;
/**
 * @param {string} rule
 * @param {Knobs} knobs
 */
const row = (rule, knobs) => ({ id: (ids += 1), rule, knobs: { ...defaults(rule), ...knobs } });

/** @param {Probs} weights */
const normalised = (weights) => laws.normalised(laws.sum(weights) > 0 ? weights : weights.map(() => 1));

// Sets one probability; the others keep their proportions (in `from`, where they still have some) and fill the rest.
/**
 * @param {Probs} probs
 * @param {number} index
 * @param {number} value
 * @param {Probs} from
 * @returns {Probs}
 */
export function moved(probs, index, value, from = probs) {
  const rest = from.reduce((total, p, i) => (i === index ? total : total + p), 0);
  const fixed = Math.min(1, Math.max(0, value));
  return normalised(
    from.map((p, i) => (i === index ? fixed : (1 - fixed) * (rest > 0 ? p / rest : 1 / (from.length - 1)))),
  );
}

// "delta must be from 0 to 10 nats." for a value a knob does not take, else "".
/**
 * @param {Knob} knob
 * @param {unknown} value
 */
export function refusal(knob, value) {
  if (knob.choices)
    return knob.choices.includes(String(value)) ? "" : `${knob.name} must be one of ${knob.choices.join(", ")}.`;
  if (typeof value !== "number" || !Number.isFinite(value)) return `${knob.name} must be a number${range(knob)}.`;
  if (knob.type === "int" && !Number.isInteger(value)) return `${knob.name} must be a whole number${range(knob)}.`;
  const below = knob.low !== null && (value < knob.low || (knob.open_low && value === knob.low));
  return below || (knob.high !== null && value > knob.high) ? `${knob.name} must be a number${range(knob)}.` : "";
}

/** @param {Knob} knob */
function range(knob) {
  if (knob.low === null) return "";
  const top = knob.high === null ? "" : knob.open_low ? ` and at most ${knob.high}` : ` to ${knob.high}`;
  return (
    ` ${knob.open_low ? "above" : knob.high === null ? "of at least" : "from"} ` +
    `${knob.low}${top}${knob.unit ? ` ${knob.unit}` : ""}`
  );
}

// Places 0..1 on a knob's slider and back; also the values its line in the plot is drawn through.
/** @param {Knob} knob */
export function scale(knob) {
  const low = knob.low ?? 0;
  const high = Math.min(knob.high ?? 10, knob.type === "int" ? Math.max(low + 1, state.names.length) : 10);
  if (knob.type === "int")
    return {
      /** @param {number} value */
      to: (value) => (value - low) / (high - low),
      /** @param {number} at */
      from: (at) => Math.round(low + at * (high - low)),
      steps: high - low,
    };
  if (knob.scale === "log") {
    const floor = low > 0 ? low : high / 1e5;
    return {
      /** @param {number} value */
      to: (value) => (value <= floor ? 0 : Math.min(1, Math.log(value / floor) / Math.log(high / floor))),
      /** @param {number} at */
      from: (at) => (at <= 0 ? (knob.open_low ? floor : low) : floor * (high / floor) ** at),
      steps: 0,
    };
  }
  const least = knob.open_low ? low + (high - low) / 1000 : low;
  return {
    /** @param {number} value */
    to: (value) => (value - low) / (high - low),
    /** @param {number} at */
    from: (at) => Math.max(least, low + at * (high - low)),
    steps: 0,
  };
}

// What the knob of a row does from end to end: points {kl, acceptance, value}. `steps`: it only jumps between a few.
/**
 * @param {Setting} one
 * @param {Knob} knob
 * @param {number} count
 */
function line(one, knob, count) {
  const at = scale(knob);
  const many = at.steps || count;
  const points = Array.from({ length: many + 1 }, (_, i) => {
    const value = at.from(i / many);
    const { kl, acceptance } = laws.judge(one.rule, state.verifier, state.draft, { ...one.knobs, [knob.name]: value });
    return { kl, acceptance, value };
  });
  const distinct = new Set(points.map((point) => `${point.kl.toFixed(9)} ${point.acceptance.toFixed(9)}`)).size;
  return { points, distinct, steps: at.steps > 0 || distinct <= Math.min(many / 2, state.names.length + 2) };
}

// Everything the page shows, from the two distributions.
function compute() {
  const { verifier, draft } = state;
  const frontier = laws.frontier(verifier, draft);
  const strict = verifier.map((q, n) => (draft[n] > q ? q / draft[n] : 1));
  const rows = state.rows.map((one) => {
    const judged = laws.judge(one.rule, verifier, draft, one.knobs);
    return {
      ...one,
      ...judged,
      lossless: known()[one.rule].lossless,
      short: Math.max(0, frontier.best(judged.kl) - judged.acceptance),
    };
  });
  /** @type {Map<string, Line>} */
  const drawn = new Map();
  rows.forEach((one) => {
    const words = knobsOf(one.rule)
      .filter((knob) => knob !== mainKnob(one.rule))
      .map((knob) => one.knobs[knob.name]);
    const key = [one.rule, ...words].join(" ");
    const knob = mainKnob(one.rule);
    if (!knob) return;
    const same = drawn.get(key) ?? { rule: one.rule, rows: [], ...line(one, knob, state.moving ? 24 : 40) };
    same.rows.push(one.id);
    drawn.set(key, same);
  });
  const focus = rows.find((one) => one.id === state.focus) || rows[0];
  now = { frontier, strict, rows, lines: [...drawn.values()], focus };
}

/** @param {(what: string) => void} hear */
export const on = (hear) => hearers.push(hear);

export function changed(what = "probs") {
  if (!["focus", "preset", "end", "sets"].includes(what)) {
    state.preset = null;
    state.sets.preset = null;
  }
  compute();
  hearers.forEach((hear) => hear(what));
}

/** @param {string} key */
export function choose(key) {
  const { tokens, drafted, knobs, focus } = boot.openings.presets[key];
  const [rule, place] = focus;
  state.names = tokens.map(([name]) => name);
  state.draft = normalised(tokens.map(([, p]) => p));
  state.verifier = normalised(tokens.map(([, , q]) => q));
  state.token = drafted;
  state.rows = ruleNames().flatMap((one) => (knobs[one] || [{}]).map((values) => row(one, values)));
  state.focus = (state.rows.filter((one) => one.rule === rule)[place] || state.rows[0]).id;
  state.preset = key;
  state.sets = { ...state.sets, knobs: knobsOfSets(flat(state.sets.knobs)), preset: null };
  changed("preset");
}

// A pair that shows something of several candidates; the rules of one draft stay as they are.
/** @param {string} key */
export function chooseSets(key) {
  const { tokens, candidates: k, drawing, knobs } = boot.openings.sets[key];
  state.names = tokens.map(([name]) => name);
  state.draft = normalised(tokens.map(([, p]) => p));
  state.verifier = normalised(tokens.map(([, , q]) => q));
  state.token = 0;
  state.preset = null;
  state.sets = { k, drawing, knobs: knobsOfSets(knobs), preset: key };
  changed("preset");
}

/**
 * @param {Record<string, Knobs>} knobs
 * @returns {Knobs}
 */
const flat = (knobs) => Object.assign({}, ...Object.values(knobs));

// The knobs of every rule that judges several candidates, at their defaults but for `wanted`, where that fits.
/** @param {Knobs | undefined} wanted */
function knobsOfSets(wanted) {
  /** @param {Knob} knob */
  const given = (knob) => wanted && Object.hasOwn(wanted, knob.name) && !refusal(knob, wanted[knob.name]);
  /** @param {string} name */
  const of = (name) =>
    boot.sets[name].knobs.map((knob) => [knob.name, given(knob) ? wanted?.[knob.name] : knob.default]);
  return Object.fromEntries(Object.keys(sets.sets).map((name) => [name, Object.fromEntries(of(name))]));
}

// Other candidates for the same two distributions.
/** @param {Partial<typeof state.sets>} change */
export function changeSets(change) {
  state.sets = { ...state.sets, ...change, preset: null };
  changed("sets");
}

export function addToken() {
  if (state.names.length >= MAX_TOKENS) return `The playground holds at most ${MAX_TOKENS} tokens.`;
  let number = state.names.length + 1;
  while (state.names.includes(`token ${number}`)) number += 1;
  state.names = [...state.names, `token ${number}`];
  state.draft = moved([...state.draft, 0], state.names.length - 1, 0.05);
  state.verifier = moved([...state.verifier, 0], state.names.length - 1, 0.05);
  changed("tokens");
  return "";
}

/** @param {number} index */
export function removeToken(index) {
  if (state.names.length <= 2) return "At least 2 tokens are needed.";
  /**
   * @template Value
   * @param {Value[]} values
   */
  const without = (values) => values.filter((_, i) => i !== index);
  state.names = without(state.names);
  state.draft = normalised(without(state.draft));
  state.verifier = normalised(without(state.verifier));
  state.token = Math.min(state.token > index ? state.token - 1 : state.token, state.names.length - 1);
  changed("tokens");
  return "";
}

// A name as it may be kept, and a sentence where it is not what was typed.
/**
 * @param {number} index
 * @param {string} text
 */
export function rename(index, text) {
  const letters = [...text.replace(/\s+/g, " ").trim()];
  if (!letters.length) return "A token needs a name; the old one stays.";
  state.names = state.names.map((name, i) => (i === index ? letters.slice(0, NAME_LENGTH).join("") : name));
  changed("names");
  return letters.length > NAME_LENGTH ? `A name has at most ${NAME_LENGTH} characters; the rest was cut.` : "";
}

// Splits a row: the same rule once more, its main knob a little tighter.
/** @param {number} id */
export function addRow(id) {
  const at = state.rows.findIndex((one) => one.id === id);
  if (state.rows.length >= MAX_ROWS) return `The table holds at most ${MAX_ROWS} rows.`;
  const { rule, knobs } = state.rows[at];
  const knob = mainKnob(rule);
  const value =
    knob &&
    (knob.type === "int"
      ? knobs[knob.name] + 1
      : scale(knob).from(Math.max(0.02, scale(knob).to(knobs[knob.name]) - 0.1)));
  const made = row(rule, knob ? { ...knobs, [knob.name]: knob.type === "int" ? value : +value.toPrecision(2) } : knobs);
  state.rows = state.rows.toSpliced(at + 1, 0, made);
  state.focus = made.id;
  changed("rows");
  return "";
}

/** @param {number} id */
export function removeRow(id) {
  const gone = state.rows.find((one) => one.id === id);
  state.rows = state.rows.filter((one) => one !== gone);
  if (state.focus === id) state.focus = (state.rows.find((one) => one.rule === gone?.rule) || state.rows[0]).id;
  changed("rows");
}

// The state as text for the address: base64url of JSON.
export function pack() {
  /** @param {Probs} probs */
  const short = (probs) => probs.map((p) => +p.toPrecision(15));
  const rows = state.rows.map(({ rule, knobs }) => [rule, knobs]);
  const value = {
    v: 1,
    names: state.names,
    draft: short(state.draft),
    verifier: short(state.verifier),
    token: state.token,
    rows,
    focus: state.rows.findIndex((one) => one.id === state.focus),
    sets: [state.sets.k, state.sets.drawing, flat(state.sets.knobs)],
  };
  return encode(value);
}

// Takes a packed state over. Throws a sentence, and changes nothing, where it is not one.
/** @param {string} text */
export function unpack(text) {
  /** @type {any} of a stranger's making */
  let value = null;
  try {
    if (text.length < 40000) value = decode(text);
  } catch {
    /* said below */
  }
  if (value === null || typeof value !== "object")
    throw new Error("The playground link is damaged, so it was ignored.");
  const size = Array.isArray(value.names) ? value.names.length : 0;
  /** @param {unknown} list */
  const probs = (list) =>
    Array.isArray(list) &&
    list.length === size &&
    list.every((p) => typeof p === "number" && p >= 0 && p <= 1) &&
    Math.abs(list.reduce((a, b) => a + b, 0) - 1) < 1e-3;
  const fine =
    value.v === 1 &&
    size >= 2 &&
    size <= MAX_TOKENS &&
    value.names.every((/** @type {unknown} */ name) => typeof name === "string" && name) &&
    probs(value.draft) &&
    probs(value.verifier) &&
    Array.isArray(value.rows);
  if (!fine)
    throw new Error("The playground link does not hold two distributions over 2 to 12 tokens, so it was ignored.");
  /** @type {Setting[]} */
  const rows = value.rows
    .slice(0, MAX_ROWS)
    .filter((/** @type {unknown} */ one) => Array.isArray(one) && ruleNames().includes(one[0]))
    .map((/** @type {[string, Knobs]} */ [rule, knobs]) => {
      const given = knobsOf(rule).filter(
        (knob) => knobs && Object.hasOwn(knobs, knob.name) && !refusal(knob, knobs[knob.name]),
      );
      return row(rule, Object.fromEntries(given.map((knob) => [knob.name, knobs[knob.name]])));
    });
  ruleNames().forEach((rule) => {
    if (!rows.some((one) => one.rule === rule)) rows.push(row(rule, {}));
  });
  state.names = value.names.map((/** @type {string} */ name) => [...name].slice(0, NAME_LENGTH).join(""));
  state.draft = normalised(value.draft);
  state.verifier = normalised(value.verifier);
  state.token = Number.isInteger(value.token) && value.token >= 0 && value.token < size ? value.token : 0;
  state.rows = rows;
  state.focus = (rows[value.focus] || rows[0]).id;
  state.preset = null;
  const [k, drawing, knobs] = Array.isArray(value.sets) ? value.sets : [];
  state.sets = {
    k: Number.isInteger(k) && k >= 1 && k <= sets.MOST ? k : 2,
    drawing: Object.hasOwn(sets.DRAWINGS, drawing) ? drawing : "iid",
    knobs: knobsOfSets(knobs),
    preset: null,
  };
  changed("end");
}
