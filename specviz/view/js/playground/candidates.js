// Several candidates for one place: how many, how they are drawn, and what each rule over them does, exactly.
import * as about from "specviz/parts/about.js";
import { boot } from "specviz/core/boot.js";
import { calm, el, set } from "specviz/core/dom.js";
import { named, nats, number, symbol } from "specviz/core/formats.js";
import * as laws from "specviz/laws/laws.js";
import * as sets from "specviz/laws/sets.js";
import { inputs } from "specviz/parts/knobs.js";
import { shape, spark, svg } from "specviz/parts/svg.js";
import * as play from "specviz/playground/play.js";
import { state } from "specviz/playground/play.js";
import * as siblings from "specviz/playground/siblings.js";

/** @typedef {{ acceptance: number, kl: number, short: number, law: Probs }} Outcome of a rule */
/** @typedef {ReturnType<typeof rowOf>} Row */
/**
 * @typedef {{
 *   stale: boolean, opening: HTMLElement, error: HTMLElement, body: HTMLElement,
 *   presets: Record<string, HTMLButtonElement>, counts: HTMLInputElement[], drawings: HTMLInputElement[],
 *   near: boolean, rows: Map<string, Row>,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({ rows: new Map(), near: false, stale: true });
/** @type {ReturnType<typeof sets.table>} */
export let now; // undefined until it was drawn

/** @param {number} share */
const tenths = (share) => (100 * share).toFixed(1);
const HELP = {
  acceptance: "Chance that the token written is one of the candidates, a lucky hit of the residual included. Exact.",
  short:
    "How much more the best rule would accept: for a lossless rule the optimum, for a lossy one the best at its divergence.",
  kl: "How far what is really written strays from the verifier: KL(output law ‖ verifier). Exact.",
  law: "What this place really writes under the rule. The ticks are what the verifier alone would write.",
};

// What the present state shows, every number computed.
function sentence() {
  const { k, drawing } = state.sets;
  const { optimum, rules } = now[k - 1];
  const single = 1 - laws.tv(state.draft, state.verifier);
  const said = Object.entries(rules).flatMap(([name, one]) => (one ? [{ name, ...one }] : []));
  const lossless = said.filter(({ name }) => boot.sets[name].lossless).sort((a, b) => b.acceptance - a.acceptance);
  const [first] = lossless;
  /** @param {string} name */
  const strong = (name) => el("b", null, name);
  /** @type {(string | Node)[]} */
  const out = [
    k === 1 ? "One candidate" : `${["", "", "Two", "Three", "Four"][k]} candidates, ${sets.DRAWINGS[drawing]}`,
    optimum > 1 - 5e-4
      ? ": the best lossless rule could write one of them every time. "
      : `: no lossless rule can write one of them more than ${tenths(optimum)} % of the time. `,
  ];
  if (first) {
    const reach = lossless.filter(({ acceptance }) => acceptance > optimum - 5e-7).map(({ name }) => name);
    const joined = reach.flatMap((name, i) => [i ? (i === reach.length - 1 ? " and " : ", ") : "", strong(name)]);
    if (reach.length) out.push(...joined, reach.length > 1 ? " reach that. " : " reaches that. ");
    else out.push(strong(first.name), ` comes closest with ${tenths(first.acceptance)} %. `);
  }
  if (drawing === "without_replacement" && k > 1) {
    const independent = sets.optimum(state.verifier, state.draft, k, "iid");
    out.push(`Independent draws, which may repeat each other, allow ${tenths(independent)} %. `);
  }
  if (optimum < single - 5e-4)
    out.push(
      `That is less than the ${tenths(single)} % of one sampled draft: a picked token was never drawn, so it is kept only as often as the verifier says it.`,
    );
  else if (k > 1 || drawing !== "iid") out.push(`One sampled draft is kept ${tenths(single)} %.`);
  said
    .filter(({ kl }) => kl > 0)
    .forEach(({ name, acceptance, kl }) => {
      const knob = sets.sets[name].spends;
      if (!knob) return;
      const budget = state.sets.knobs[name][knob];
      const within = kl <= budget * (1 + 1e-9);
      out.push(
        " ",
        strong(name),
        ` writes one of them ${tenths(acceptance)} % of the time, and what is written strays by ${nats(kl)} nats, `,
        within
          ? `within its budget ${symbol(knob)} = ${number(budget)}.`
          : `beyond its budget ${symbol(knob)} = ${number(budget)}: this solver only approximates it.`,
      );
    });
  return out;
}

/** @param {string} name */
function knobs(name) {
  const values = { ...state.sets.knobs[name] };
  return inputs(name, boot.sets[name].knobs, values, () => {
    const wrong = boot.sets[name].knobs.map((knob) => play.refusal(knob, values[knob.name])).filter(Boolean);
    set(parts.error, wrong.length ? `${name}: ${wrong[0]}` : "");
    if (!wrong.length) play.changeSets({ knobs: { ...state.sets.knobs, [name]: { ...values } } });
  });
}

/** @param {string} name */
const aboutOf = (name) => boot.sets[name] && about.button(name, () => state.sets.knobs[name] ?? {}, true);

/**
 * @param {string} name
 */
function rowOf(name) {
  /**
   * @param {string} kind
   * @param {...any} children
   */
  const cell = (kind, ...children) => el(`td.${kind}`, { role: "cell" }, ...children);
  const at = Array.from({ length: sets.MOST }, () => cell("k.right"));
  at.forEach((node, i) => {
    node.dataset.label = `${i + 1}:`;
  });
  const [knobs, short, kl, note] = [cell("knobcell"), cell("short.right"), cell("kl.right"), cell("note")];
  const sketch = svg("svg", { class: "spark", role: "img", height: 26 });
  Object.assign(short.dataset, { label: "short of best", unit: " points" });
  Object.assign(kl.dataset, { label: "KL", unit: " nats" });
  const mark = svg("svg", { width: 16, height: 14, viewBox: "-8 -7 16 14", "aria-hidden": "true" });
  if (sets.sets[name]) mark.append(shape(sets.sets[name].stroke, 4));
  else mark.append(svg("line", { x1: -8, x2: 8, y1: 0, y2: 0, stroke: "var(--amber)", "stroke-width": 3.5 }));
  const node = el(
    "tr",
    { role: "row" },
    el(
      "th.rule",
      { role: "rowheader", scope: "row" },
      el("span.setname", { title: boot.sets[name]?.summary ?? null }, mark, name),
      aboutOf(name),
    ),
    knobs,
    at,
    short,
    kl,
    cell("law", sketch),
    note,
  );
  return { node, at, knobs, short, kl, spark: sketch, note, of: "" }; // `of`: the knobs that stand there
}

// What stands in a row, for the rule of that name or for the optimum.
/**
 * @param {Row} made
 * @param {(number | null)[]} cells
 * @param {(Pick<Outcome, "short" | "kl"> & { law?: Probs }) | null} one
 * @param {string} words
 */
function fill(made, cells, one, words) {
  const { k } = state.sets;
  made.at.forEach((node, i) => {
    set(node, cells[i] === null ? "–" : tenths(cells[i]));
    node.classList.toggle("here", i + 1 === k);
  });
  set(made.short, one ? (one.short < 5e-7 ? "0" : one.short < 5e-4 ? "<0.1" : tenths(one.short)) : "");
  set(made.kl, one ? nats(one.kl) : "");
  set(made.note, words);
  made.node.classList.toggle("absent", !one);
  made.node.classList.toggle(
    "never",
    cells.every((cell) => cell === null),
  );
  made.spark.toggleAttribute("hidden", !one?.law);
  if (one?.law) spark(made.spark, one.law, state.verifier, (i) => named(state.names[i]));
}

/**
 * @param {string} name
 * @param {Outcome | null} one
 */
const note = (name, one) => {
  if (!one) {
    const ways = boot.sets[name].drawings.map((drawing) => sets.DRAWINGS[drawing]);
    return `judges ${ways.join(" and ")} candidates only`;
  }
  if (!boot.sets[name].lossless) return "lossy";
  return one.short < 5e-7 ? "lossless, meets the optimum" : "lossless";
};

function rows() {
  const { k } = state.sets;
  const { rules } = now[k - 1];
  /** @param {string} name */
  const row = (name) => {
    const made = parts.rows.get(name) ?? rowOf(name);
    parts.rows.set(name, made);
    return made;
  };
  const top = row("optimum");
  fill(
    top,
    now.map((at) => at.optimum),
    { short: 0, kl: 0 },
    "the most a lossless rule can accept",
  );
  top.node.classList.add("best");
  Object.entries(rules).forEach(([name, one]) => {
    const made = row(name);
    const stamp = JSON.stringify(state.sets.knobs[name]);
    if (made.of !== stamp && !made.knobs.contains(document.activeElement)) {
      made.knobs.replaceChildren(...knobs(name));
      made.of = stamp;
    }
    fill(
      made,
      now.map((at) => at.rules[name]?.acceptance ?? null),
      one,
      note(name, one),
    );
  });
  if (state.moving || parts.body.contains(document.activeElement)) return;
  const order = Object.entries(rules).sort(([, a], [, b]) => (b?.acceptance ?? -1) - (a?.acceptance ?? -1));
  const nodes = [top, ...order.map(([name]) => row(name))].map(({ node }) => node);
  if (nodes.some((node, i) => parts.body.children[i] !== node)) parts.body.replaceChildren(...nodes);
}

// Draws it anew; where it is far off the screen, once it comes near.
export function render() {
  parts.stale = true;
  if (parts.near) fresh();
}

function fresh() {
  if (!parts.stale) return;
  parts.stale = false;
  const { k, drawing, preset } = state.sets;
  now = sets.table(state.verifier, state.draft, drawing, state.sets.knobs);
  parts.opening.replaceChildren(...sentence());
  Object.entries(parts.presets).forEach(([key, button]) => button.setAttribute("aria-pressed", String(key === preset)));
  parts.counts.forEach((input) => {
    input.checked = Number(input.value) === k;
  });
  parts.drawings.forEach((input) => {
    input.checked = input.value === drawing;
  });
  rows();
  const { names, draft, verifier } = state;
  siblings.render({ names, draft, verifier, k, drawing, table: now, covered: sets.covered(draft, k, drawing) });
}

/**
 * @template {string | number} Value
 * @param {string} name
 * @param {string} words
 * @param {[value: Value, label: string, title: string | null][]} options
 * @param {(value: Value) => void} change
 * @returns {[HTMLElement, HTMLInputElement[]]}
 */
function choices(name, words, options, change) {
  const radios = options.map(([value]) =>
    el("input", { type: "radio", name: `sv-${name}`, value, onchange: () => change(value) }),
  );
  const node = el(
    "fieldset.choices",
    null,
    el("legend", null, words),
    options.map(([, label, title], i) => el("label.choice", { title }, radios[i], el("span", null, label))),
  );
  return [node, radios];
}

/** @type {Record<string, string>} */
const MEANING = {
  iid: "Each candidate is drawn from the draft, whatever the others are.",
  without_replacement: "Each candidate is drawn from the draft without its elders.",
  greedy: "The likeliest are chosen, one is drawn from what is left of the draft and judged first.",
  picked: "The likeliest are chosen, none is drawn: the law of each is a point mass.",
};

// To what is dragged.
function toBars() {
  /** @type {SVGElement | null} */
  const grip = document.querySelector(".playbars [data-grip]");
  grip?.closest("section")?.scrollIntoView({ behavior: calm() ? "auto" : "smooth", block: "start" });
  grip?.focus({ preventScroll: true });
}

export function build() {
  parts.opening = el("p.opening", { "aria-live": "off" });
  parts.error = el("p.error", { role: "alert" });
  parts.body = el("tbody", { role: "rowgroup" });
  parts.presets = Object.fromEntries(
    Object.entries(boot.openings.sets).map(([key, { name }]) => [
      key,
      el("button", { type: "button", "aria-pressed": "false", onclick: () => play.chooseSets(key) }, name),
    ]),
  );
  /** @type {[number, string, null][]} */
  const counts = Array.from({ length: sets.MOST }, (_, i) => [i + 1, String(i + 1), null]);
  const [many, manyInputs] = choices("candidates", "Candidates", counts, (k) => play.changeSets({ k }));
  const [drawn, drawnInputs] = choices(
    "drawing",
    "Drawn",
    Object.entries(sets.DRAWINGS).map(([key, words]) => [key, words, MEANING[key]]),
    (drawing) => play.changeSets({ drawing }),
  );
  [parts.counts, parts.drawings] = [manyInputs, drawnInputs];
  /**
   * @param {string} words
   * @param {string} kind
   * @param {Record<string, unknown>} more
   */
  const th = (words, kind = "", more = {}) => el(`th${kind}`, { role: "columnheader", scope: "col", ...more }, words);
  const numbers = Array.from({ length: sets.MOST }, (_, i) =>
    th(i ? String(i + 1) : "acceptance of 1", ".right.k", { title: HELP.acceptance }),
  );
  const node = el(
    "section.candidates",
    { "aria-label": "Several candidates for one place" },
    el(
      "div.intro",
      null,
      el("h2", null, "Several candidates for one place"),
      parts.opening,
      el(
        "div.examples",
        { role: "group", "aria-label": "Presets of several candidates" },
        Object.values(parts.presets),
      ),
      el("div.choosing", null, many, drawn),
    ),
    siblings.build(fresh),
    el(
      "section.plot.settable",
      { "aria-label": "Every rule over several candidates" },
      el(
        "div.rowspread",
        null,
        el("h3", null, "One draft against several, exact"),
        el("span.badge.exact", null, "exact"),
      ),
      el(
        "p.caption",
        null,
        HELP.acceptance,
        " Draft and verifier are ",
        el("button.link", { type: "button", onclick: toBars }, "the bars above"),
        ".",
      ),
      parts.error,
      el(
        "table",
        { role: "table", "aria-label": "Every rule over several candidates, by acceptance" },
        el(
          "thead",
          { role: "rowgroup" },
          el(
            "tr",
            { role: "row" },
            th("rule"),
            th("knob"),
            numbers,
            th("short of best, points", ".right", { title: HELP.short }),
            th("KL, nats", ".right", { title: HELP.kl }),
            th("output law, ticks: verifier", "", { title: HELP.law }),
            th(""),
          ),
        ),
        parts.body,
      ),
    ),
  );
  new IntersectionObserver(
    (entries) => {
      parts.near = Boolean(entries.at(-1)?.isIntersecting);
      if (parts.near && play.now) fresh();
    },
    { rootMargin: "300px" },
  ).observe(node);
  return node;
}
