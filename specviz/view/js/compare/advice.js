// The advisor's answer as a table: a row for each rule or drafter, with what it should keep, what that saves, and two
// buttons: one holds the row against a real run, one puts it to use.
import { el } from "specviz/core/dom.js";
import * as drafters from "specviz/core/drafters.js";
import { fixed, label, nats, number, symbol } from "specviz/core/formats.js";
import { MAX_LANES, state } from "specviz/core/state.js";
import * as about from "specviz/parts/about.js";
import { column, heads, unseen } from "specviz/parts/heads.js";
import { key } from "specviz/parts/key.js";

/**
 * A setting, as specviz/ui/advice.py gives it; `tried`: what a real run kept.
 * @typedef {{
 *   rule: string, name: string, knobs: Knobs, drafter: string, draft_length: number, kept: number,
 *   interval: [number, number], kl: number, speedup: number, speedup_interval: [number, number], attempt?: number,
 *   tried?: { kept: number, kl: Num, inside: boolean },
 *   kind?: string, nodes?: number, measured?: boolean,
 * }} Row
 */

/**
 * What the rows of an answer are about: their name, what they are called, and what using one does.
 * @typedef {{
 *   head: string, name: (row: Row) => string, label: (row: Row) => string, title: (row: Row) => any,
 *   use: (row: Row) => string, used: (row: Row) => boolean,
 * }} Subject
 */

/**
 * @typedef {{ rows: Row[], subject: Subject, fixedLength: boolean }} Answer
 * @typedef {{ check: (row: Row) => void, use: (row: Row) => void }} Acts
 */

/** @param {Row} row */
const drafterOf = (row) => drafters.parse(row.drafter);

/** @param {Row} row */
function knobsOf(row) {
  const [name, value] = Object.entries(row.knobs).find(([, one]) => typeof one === "number") || [];
  return name ? [`${symbol(name)} `, el("b", null, number(value))] : "no knob";
}

// The lane that a rule's row would go to: the one with its rule, or else a new one, or else the last.
/** @param {Row} row */
export function target(row) {
  const own = state.columns.findIndex(({ rule }) => rule === row.name);
  if (own >= 0) return { index: own, words: `Set in lane ${own + 1}` };
  const count = state.columns.length;
  return count < MAX_LANES
    ? { index: count, words: `Add as lane ${count + 1}` }
    : { index: count - 1, words: `Put in lane ${count}` };
}

// Whether every lane that drafts would do so as a drafter's row says.
/** @param {Row} row */
const inUse = (row) =>
  drafters.same(drafterOf(row), state.form.drafter) &&
  state.form.draft_length === row.draft_length &&
  !state.columns.some(({ drafter }) => drafter);

/** @type {Record<string, string>} by kind of shape */
const SHAPES = {
  chain: "chain",
  static: "the usual tree",
  best: "the best tree",
  dynamic: "dynamic tree",
};

// What a shape is for the drafter: its own knob where it has one.
/** @param {Row} row */
const shapeOf = (row) => {
  const { name, knobs } = drafterOf(row);
  return typeof knobs.shape === "string" ? knobs.shape : row.kind === "chain" ? `${row.draft_length} in a row` : name;
};

/** @type {Record<"rules" | "drafters" | "shapes", Subject>} */
export const SUBJECTS = {
  rules: {
    head: "rule",
    name: (row) => row.name,
    label: (row) => label(row.name, row.knobs),
    title: (row) => [key(row.name), row.name, about.button(row.name, () => row.knobs)],
    use: (row) => target(row).words,
    used: () => false,
  },
  drafters: {
    head: "drafter",
    name: (row) => drafterOf(row).name,
    label: (row) => drafters.label(drafterOf(row)),
    title: (row) => el("span", { title: drafters.words(drafterOf(row).name).summary }, drafterOf(row).name),
    use: (row) => (inUse(row) ? "In use" : "Use in all lanes"),
    used: inUse,
  },
  shapes: {
    head: "shape",
    name: (row) => row.kind ?? "",
    label: (row) => drafters.label(drafterOf(row)),
    title: (row) => el("span", { title: drafters.words(drafterOf(row).name).summary }, SHAPES[row.kind ?? ""]),
    use: (row) => (inUse(row) ? "In use" : "Use in all lanes"),
    used: inUse,
  },
};

// Kept per round on a common scale: the interval, the estimate in it, and what a real run kept.
/**
 * @param {Row} row
 * @param {number} most
 */
function range(row, most) {
  /** @param {number} value */
  const at = (value) => `${Math.max(0, Math.min(1, value / most)) * 100}%`;
  const span = el("i.span");
  span.style.left = at(row.interval[0]);
  span.style.right = `calc(100% - ${at(row.interval[1])})`;
  const dot = el("i.dot2");
  dot.style.left = at(row.kept);
  const real = row.tried ? el(row.tried.inside ? "i.real" : "i.real.out") : null;
  if (real && row.tried) real.style.left = at(row.tried.kept);
  return el("span.range", { "aria-hidden": "true" }, span, dot, real);
}

// A cell with its label, which is seen where the table is folded into cards.
/**
 * @param {string} label
 * @param {...any} content
 */
const cell = (label, ...content) => el("td", { "data-label": label }, ...content);

/**
 * @param {[number, number]} interval
 * @param {string} unit
 */
const between = ([low, high], unit = "") => el("span.caption", null, `${fixed(low)} to ${fixed(high)}${unit}`);

/**
 * @param {Row} row
 * @param {Subject} subject
 * @param {(row: Row) => void} check
 */
function realRun(row, subject, check) {
  const { tried } = row;
  return el(
    "td.real",
    { "data-label": "a real run" },
    tried
      ? [
          el("b", null, fixed(tried.kept)),
          el(tried.inside ? "span.caption" : "span.caption.out", null, tried.inside ? "inside" : "outside"),
        ]
      : null,
    el(
      "button.plainbutton.try",
      { type: "button", "aria-label": `Check ${subject.name(row)} by a real run`, onclick: () => check(row) },
      tried ? "Again" : "Check",
    ),
  );
}

/**
 * @param {Row} row
 * @param {Answer & { most: number }} answer
 * @param {Acts} acts
 */
function line(row, { subject, most, fixedLength }, { check, use }) {
  const drafts = subject === SUBJECTS.shapes ? shapeOf(row) : `drafts ${row.draft_length}`;
  const settings = [
    cell("setting", knobsOf(row), fixedLength ? null : el("span.caption", null, drafts)),
    cell("divergence", el("b", null, nats(row.kl))),
  ];
  const [setting, divergence] =
    subject === SUBJECTS.rules
      ? settings
      : [
          el(
            "td.drafts",
            { "data-label": "setting" },
            drafts,
            row.nodes ? el("span.caption", null, `${row.nodes} ${row.nodes === 1 ? "node" : "nodes"}`) : null,
          ),
          null,
        ];
  const words = subject.use(row);
  return el(
    "tr",
    { "data-row": subject.name(row) },
    el("th", { scope: "row" }, el("span.rulename", null, subject.title(row))),
    setting,
    el(
      "td.kept",
      { "data-label": "kept per round" },
      el("b", null, fixed(row.kept)),
      range(row, most),
      between(row.interval),
    ),
    divergence,
    el(
      "td.speed",
      { "data-label": "speed-up" },
      el("b", null, `${fixed(row.speedup)}×`),
      between(row.speedup_interval, "×"),
    ),
    realRun(row, subject, check),
    el(
      "td.act",
      null,
      el(
        "button.plainbutton.outlined",
        {
          type: "button",
          "aria-label": `${words}: ${subject.label(row)}`,
          disabled: subject.used(row),
          onclick: () => use(row),
        },
        words,
      ),
    ),
  );
}

// The table of {rows, subject, fixedLength}; `acts`: {check, use}, what its buttons do with a row.
/**
 * @param {Answer} answer
 * @param {Acts} acts
 */
export function table(answer, acts) {
  const { rows, subject } = answer;
  const most = Math.max(1, ...rows.map((row) => row.draft_length));
  return el(
    "table.advice.ledger",
    null,
    heads(
      subject.head,
      "setting",
      column("kept per round", "estimated", "And the interval that holds a fresh text like these 95 times in 100."),
      subject === SUBJECTS.rules
        ? column("divergence, nats", "exact", "Mean KL(output law ‖ verifier) per judged token of these texts.")
        : [],
      column("speed-up", "estimated", "Against plain decoding, from the seconds both models need here and now."),
      column("a real run", "measured", "Kept per round on the same prompt with another seed."),
      unseen("use it"),
    ),
    el(
      "tbody",
      null,
      rows.map((row) => line(row, { ...answer, most }, acts)),
    ),
  );
}
