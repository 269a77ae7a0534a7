// The twins of the rules. A twin is all that the page knows of a rule: specviz/rules/x.js beside x.py, found by lying
// there. It exports one object, made with what laws.js has, which says
//   law(verifier, draft, knobs)  {accept, target, residual}, see laws.js
//   accept(facts, knobs)         probability that a recorded token is kept; null where undecided
//   flip(facts, knobs)           where its fate changes, see Rule.flip_point; for traces without it
//   again(facts)                 from which value of the knob on it is kept again, beyond its flip
//   whole: true                  the fate depends on whole distributions: accept does not decide it
//   each: true                   every candidate for a place is judged by itself, against the verifier
//   pairwise: true               accept depends on the token's own two probabilities alone
//   contour(knobs, draft)        the verifier probability from which on it always keeps
//   because(facts, knobs)        why it kept a token that a strict check refuses: a sentence
//   costs(facts, knobs)          what the drafted token's own target costs by each solver, nats, where the
//                                rule's budget (`spends`, see base.py) bounds that
//   symbols, stroke, note        of its knobs; how it is drawn, see `stroke`; a word in its row
// Whatever a twin does not say is not shown; a rule without one is not computed in the browser.
//
// facts: draft, verifier (probability of the token under each model), uniform (the draw), strict,
// entropy, rank, tv, js, draftMax, verifierMax, and `flip` where it was recorded. See core/store.js.
import { SYMBOLS } from "specviz/core/formats.js";

/** @type {Record<string, Twin>} */
export const twins = Object.create(null); // by the rule's name

// Brings the twins of these names; before that the page knows no rule.
/** @param {string[]} names */
export async function load(names) {
  const loaded = await Promise.all(names.map((name) => import(`specviz/rules/${name}.js`)));
  names.forEach((name, i) => {
    twins[name] = loaded[i].default;
    Object.assign(SYMBOLS, twins[name].symbols);
  });
}

// How a rule is drawn: ink only, told apart by dash and mark; its twin says how.
/** @type {Twin["stroke"]} */
const PLAIN = ["ink3", 1, "", "none", "solid"];
/** @type {Twin["stroke"]} */
const UNKNOWN = ["ink3", 1.25, "7 2 1 2", "hexagon-open", "longdashdot"];

/** @type {[dash: string, symbol: string, plotly: string][]} */
const AGAIN = [
  ["8 3", "square-open", "longdash"],
  ["5 2 1 2", "triangle-up-open", "dashdot"],
  ["9 2 1 2", "hexagon-open", "longdashdot"],
];

// `nth`: how many lanes before this one have the rule.
/** @param {string} rule */
export function stroke(rule, nth = 0) {
  const own = rule === "plain" ? PLAIN : twins[rule]?.stroke || UNKNOWN;
  const [color, width] = own;
  const [dash, symbol, plotly] = AGAIN[nth - 1] ?? own.slice(2);
  return { color, width, dash, symbol, plotly };
}
