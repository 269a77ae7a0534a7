// The twin of list_coupling.py: k noises E^j of independent exponentials; candidate j is the token of the least E^j/p, and the
// token of the least (min over j of E^j)/q is written, whatever the drafter.
//
// The chance that y is written and is no candidate: given its own numbers, of which the least is m, the other tokens of noise j
// let y be written with exp(-m A), A = sum of q_x/q_y, and make it candidate j as well with exp(-sum of max(m q_x/q_y, e p_x/p_y))
// where y's own number there is e. As a function of m, the integral over e >= m of the difference is a sum of exponentials, and
// so is its power: everything is exact.
import { sum } from "specviz/laws/laws.js";

/** @typedef {[coefficient: number, rate: number][]} Terms */

/** @type {(first: Terms, second: Terms) => Terms} */
const times = (first, second) =>
  first.flatMap(([a, s]) => second.map(([b, t]) => /** @type {[number, number]} */ ([a * b, s + t])));

/**
 * @param {Probs} verifier
 * @param {Probs} draft
 * @param {number} k
 * @param {number} y
 */
function missed(verifier, draft, k, y) {
  if (!(verifier[y] > 0)) return 0;
  if (!(draft[y] > 0)) return verifier[y];
  const others = verifier.flatMap((q, x) =>
    x === y
      ? []
      : [{ written: q / verifier[y], drafted: draft[x] / draft[y], turn: q * draft[y], over: draft[x] * verifier[y] }],
  );
  const all = sum(others.map(({ written }) => written));
  // From e = r m on, tokens with turn/over < r go by the draft and not by the verifier.
  const late = others
    .filter(({ turn, over }) => turn > over)
    .map((one) => ({ ...one, at: one.over > 0 ? one.turn / one.over : Infinity }))
    .sort((a, b) => a.at - b.at);
  const early = others.filter(({ turn, over }) => turn <= over);
  let fixed = sum(late.map(({ written }) => written)); // the exponent is m fixed + e slope
  let slope = 1 + sum(early.map(({ drafted }) => drafted));
  /** @type {Terms} */
  const at = [[1, all + 1]]; // the difference where e = m, times exp(-m)
  at.push([-1, fixed + slope]);
  /** @type {Terms} */
  const beyond = [[1, all + 1]]; // its integral over e >= m
  beyond.push([-1 / slope, fixed + slope]);
  late.forEach((one) => {
    if (one.at === Infinity) return;
    const [before, rate] = [slope, fixed + one.at * slope];
    fixed -= one.written;
    slope += one.drafted;
    beyond.push([1 / before - 1 / slope, rate]);
  });
  let terms = at;
  for (let j = 1; j < k; j += 1) terms = times(terms, beyond);
  return k * sum(terms.map(([coefficient, rate]) => coefficient / rate));
}

/** @type {SetTwin} */
export default {
  stroke: ["ink3", 1.25, "7 2 1 2", "cross-open", "dashdot"],
  judge: (verifier, draft, k) => ({
    law: verifier,
    acceptance: Math.max(0, 1 - sum(verifier.map((_, y) => missed(verifier, draft, k, y)))),
  }),
};
