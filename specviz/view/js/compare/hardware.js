// What a verifier call costs: one setting for all lanes, folded to a line, from which their estimated speed-ups follow.
import { LIMITS, measured } from "specviz/core/costs.js";
import { el, inside, set } from "specviz/core/dom.js";
import * as drafters from "specviz/core/drafters.js";
import { emit, on } from "specviz/core/events.js";
import { fixed } from "specviz/core/formats.js";
import { state } from "specviz/core/state.js";

// Examples: what a call of these sizes costs if it takes the time of reading the weights once, and looks at more tokens
// for next to nothing, as one text on a GPU roughly does.
const EXAMPLES = [
  { name: "Qwen3 0.6 B drafts for 14 B", costs: { verifier: 25, look: 1.05 } },
  { name: "Llama 1 B drafts for 70 B", costs: { verifier: 57, look: 1.05 } },
];
/** @type {[keyof Costs, string, string, (value: number) => string][]} */
const SLIDERS = [
  ["verifier", "One verifier call costs as much as", "drafted tokens", (value) => short(value)],
  ["look", "a look at 5 tokens costs", "looks at one", (value) => fixed(value)],
];
/** @param {number} value */
const short = (value) => String(+value.toPrecision(3));
/** @typedef {{ range: HTMLInputElement, output: HTMLElement }} Slider */
/**
 * @typedef {{
 *   line: HTMLElement, said: HTMLElement, preset: HTMLSelectElement,
 *   verifier: Slider, look: Slider,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({});
/** @type {{ run: Run | null, rounds: number, costs: Costs | null }} */
let here = { run: null, rounds: -1, costs: null };

// Whether a lane's drafted tokens cost something: a model, a head or the verifier's first layers computed them.
/** @param {Pick<Lane, "drafter">} given */
export function drafts({ drafter }) {
  if (!drafter) return false;
  return Boolean(drafters.words(drafter.name).uses_draft_model) || drafters.trained(drafter.name).length > 0;
}

// As the run on display took its time; null if it does not say.
function ofRun() {
  const { run } = state;
  if (!run) return null;
  const rounds = run.lanes.reduce((total, lane) => total + lane.rounds.length, 0);
  if (here.run !== run || here.rounds !== rounds) {
    /** @param {Lane[]} lanes */
    const given = (lanes) => lanes.map((lane) => lane.rounds.map((round) => round.given));
    const plain = given(run.lanes.filter((lane) => lane.rule === "plain"));
    here = { run, rounds, costs: measured(plain[0] || [], given(run.lanes.filter(drafts))) };
  }
  return here.costs;
}

// What the lanes reckon with; null where the run does not say and nothing else is set.
export const current = () => state.costs ?? ofRun();

// Where that is from, in words.
export function source() {
  if (!state.costs) return "Measured in this run";
  const chosen = state.costs;
  const example = EXAMPLES.find(({ costs }) => same(costs, chosen));
  return example
    ? `Example, not measured: ${example.name}, a call taken to cost what its weights cost to read`
    : "Set by hand";
}

/**
 * @param {Costs} one
 * @param {Costs} other
 */
const same = (one, other) => one.verifier === other.verifier && one.look === other.look;

/** @param {Costs | null} costs */
function choose(costs) {
  state.costs = costs && { ...costs };
  emit("costs");
}

// Sliders are logarithmic: 0 .. 1000 over the limits.
/** @param {keyof Costs} name */
const span = (name) => Math.log(LIMITS[name][1] / LIMITS[name][0]);
/**
 * @param {keyof Costs} name
 * @param {number} value
 */
const position = (name, value) => Math.round((1000 * Math.log(value / LIMITS[name][0])) / span(name));
/**
 * @param {keyof Costs} name
 * @param {number} at
 */
const value = (name, at) => +(LIMITS[name][0] * Math.exp((at / 1000) * span(name))).toPrecision(3);

function draw() {
  const costs = current();
  set(parts.line, costs ? `: a call is ${short(costs.verifier)} drafts` : "");
  set(
    parts.said,
    costs
      ? `${source()}. Estimated: the tokens of a lane's rounds, exactly as they were, against plain decoding at these costs. ` +
          "The prompt, and all that is not the models, are left out."
      : "This run does not say what a call costs: it needs a plain lane and one whose drafter computes. Choose an example.",
  );
  const chosen = EXAMPLES.findIndex((example) => state.costs && same(example.costs, state.costs));
  parts.preset.value = state.costs ? (chosen >= 0 ? String(chosen) : "own") : "here";
  SLIDERS.forEach(([name, , , show]) => {
    const { range, output } = parts[name];
    range.disabled = !costs;
    if (document.activeElement !== range || !state.costs) range.value = String(costs ? position(name, costs[name]) : 0);
    const shown = costs ? show(costs[name]) : "–";
    range.setAttribute("aria-valuetext", shown);
    set(output, shown);
  });
}

/** @param {typeof SLIDERS[number]} given */
function slider([name, before, after]) {
  const range = el("input", { type: "range", min: 0, max: 1000, step: 1, "aria-label": `${before} … ${after}` });
  const output = el("b", null, "–");
  range.addEventListener("input", () => {
    const costs = current();
    if (costs) choose({ ...costs, [name]: value(name, Number(range.value)) });
  });
  range.addEventListener("keydown", (event) => event.stopPropagation());
  parts[name] = { range, output };
  return el("label.cost", null, el("span", null, `${before} `, output, ` ${after}`), range);
}

export function build() {
  parts.line = el("span");
  parts.said = el("p.caption");
  parts.preset = el(
    "select",
    {
      "aria-label": "Costs of a verifier call",
      onchange: (event) =>
        choose(
          EXAMPLES[Number(event.currentTarget.value)]?.costs ??
            (event.currentTarget.value === "own" ? current() : null),
        ),
    },
    el("option", { value: "here" }, "as measured here"),
    EXAMPLES.map(({ name }, i) => el("option", { value: i }, `example: ${name}`)),
    el("option", { value: "own" }, "set by hand"),
  );
  const box = el(
    "details.costs",
    null,
    el("summary", { title: "What the estimated speed-ups reckon with" }, "Costs", parts.line),
    el(
      "div.costpanel",
      null,
      SLIDERS.map(slider),
      el("label.cost", null, el("span", null, "Or take them"), parts.preset),
      parts.said,
    ),
  );
  document.addEventListener("pointerdown", (event) => {
    if (!(event.target instanceof Node && box.contains(event.target))) box.open = false;
  });
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !box.open) return;
    box.open = false;
    inside(box, "summary").focus();
    event.stopPropagation();
  });
  on("run append ended costs", draw);
  draw();
  return box;
}
