// Rules over several candidates for one place, exactly: what their twins (specviz/sets/x.js) are made of, and what is asked
// of them. Pure. A twin exports one object, which says
//   judge(verifier, draft, k, drawing, knobs)  {law, acceptance}: what the place writes, and the chance that this is one of the
//                 candidates, a hit of the residual included
//   spends            its knob that is a budget of divergence, in nats
//   symbols, stroke   of its knobs; how it is drawn, see twins.js
// What Python says of it (which drawings it judges, whether it is lossless, its knobs) is in `boot.sets`.
// Ways to draw k candidates from a draft p:
//   iid       each from p, independently
//   without_replacement   each from p without its elders
//   greedy    the eldest drawn from p without the k - 1 likeliest, which are chosen: the law of each is a point mass
//   picked    the k likeliest of p, all chosen
// A distribution may hold fewer than k tokens; then there are fewer candidates.
import { boot } from "specviz/core/boot.js";
import { SYMBOLS } from "specviz/core/formats.js";
import { kl, lift, normalised, sum } from "specviz/laws/laws.js";

export const MOST = 4; // candidates for one place
/** @type {Record<string, string>} */
export const DRAWINGS = {
  iid: "i.i.d.",
  without_replacement: "without replacement",
  greedy: "greedy",
  picked: "picked",
};

/** @type {Record<string, SetTwin>} */
export const sets = Object.create(null); // by the rule's name

/** @param {string[]} names */
export async function load(names) {
  const loaded = await Promise.all(names.map((name) => import(`specviz/sets/${name}.js`)));
  names.forEach((name, i) => {
    sets[name] = loaded[i].default;
    Object.assign(SYMBOLS, sets[name].symbols);
  });
}

// The knobs of a rule at their defaults.
/**
 * @param {string} name
 * @returns {Knobs}
 */
export const defaults = (name) =>
  Object.fromEntries((boot.sets[name]?.knobs ?? []).map((knob) => [knob.name, knob.default]));

// Tokens by falling draft probability, those that the draft may say; of equals the first is first.
/** @param {Probs} draft */
export const ranked = (draft) =>
  draft
    .map((_, i) => i)
    .filter((i) => draft[i] > 0)
    .sort((a, b) => draft[b] - draft[a] || a - b);

// p without some tokens, renormalised; null where nothing is left.
/**
 * @param {Probs} probs
 * @param {number[]} tokens
 */
export function without(probs, tokens) {
  const rest = probs.map((p, i) => (tokens.includes(i) ? 0 : p));
  return sum(rest) > 0 ? normalised(rest) : null;
}

// Tokens that are candidates whatever is drawn.
/**
 * @param {Probs} draft
 * @param {number} k
 * @param {string} drawing
 */
export function chosen(draft, k, drawing) {
  if (drawing !== "picked" && drawing !== "greedy") return [];
  const likeliest = ranked(draft).slice(0, k);
  return drawing === "picked" ? likeliest : likeliest.slice(0, -1);
}

// The law of the next candidate behind its elders; null where there is none.
/**
 * @param {Probs} draft
 * @param {number} k
 * @param {string} drawing
 * @param {number[]} elders
 * @returns {Probs | null}
 */
export function next(draft, k, drawing, elders) {
  if (elders.length >= k) return null;
  if (drawing === "iid") return draft;
  if (drawing === "without_replacement") return without(draft, elders);
  const fixed = chosen(draft, k, drawing);
  if (drawing === "greedy" && !elders.length) return without(draft, fixed);
  const token = fixed[elders.length - Number(drawing === "greedy")];
  return token === undefined ? null : draft.map((_, i) => Number(i === token));
}

// Visits every sequence of candidates that may come, with its probability.
/**
 * @param {Probs} draft
 * @param {number} k
 * @param {string} drawing
 * @param {(tokens: number[], probability: number) => void} visit
 * @param {number[]} elders
 */
export function each(draft, k, drawing, visit, elders = [], weight = 1) {
  const law = next(draft, k, drawing, elders);
  if (law === null) return visit(elders, weight);
  law.forEach((p, token) => {
    if (p > 0) each(draft, k, drawing, visit, [...elders, token], weight * p);
  });
}

// Of every token, the chance that it is among the candidates.
/**
 * @param {Probs} draft
 * @param {number} k
 * @param {string} drawing
 */
export function covered(draft, k, drawing) {
  if (drawing === "iid") return draft.map((p) => 1 - (1 - p) ** k);
  const chance = draft.map(() => 0);
  each(draft, k, drawing, (tokens, probability) => {
    tokens.forEach((token) => {
      chance[token] += probability;
    });
  });
  return chance;
}

// The most that any lossless rule can accept: the least of 1 + q(H) - P(all candidates lie in H) over sets of tokens H, which is
// attained where H holds the tokens of the smallest q/p, and all that are chosen (arXiv 2502.18779).
/**
 * @param {Probs} verifier
 * @param {Probs} draft
 * @param {number} k
 * @param {string} drawing
 */
export function optimum(verifier, draft, k, drawing) {
  const fixed = chosen(draft, k, drawing);
  const order = draft
    .map((_, i) => i)
    .filter((i) => draft[i] > 0 && !fixed.includes(i))
    .sort((a, b) => verifier[a] / draft[a] - verifier[b] / draft[b]);
  const inside = [-1, ...order].map(() => 0); // the chance that the last candidate to lie in H does so with its i-th token
  if (drawing === "iid") {
    let mass = 0;
    order.forEach((token, i) => {
      inside[i + 1] = (mass + draft[token]) ** k - mass ** k;
      mass += draft[token];
    });
  } else {
    const place = draft.map((_, i) => order.indexOf(i)); // of the chosen -1: they lie in every H
    each(draft, k, drawing, (tokens, probability) => {
      inside[1 + Math.max(-1, ...tokens.map((token) => place[token]))] += probability;
    });
  }
  let best = 1;
  let mass = sum(fixed.map((token) => verifier[token]));
  let held = 0;
  inside.forEach((probability, i) => {
    held += probability;
    mass += i ? verifier[order[i - 1]] : 0;
    best = Math.min(best, 1 + mass - held);
  });
  return Math.max(0, best);
}

// The most that any rule can accept of candidates that are all chosen, at a divergence of `nats`: the law closest to q that
// puts a mass on a set keeps its proportions inside and outside of the set, so that only the mass counts.
/**
 * @param {Probs} verifier
 * @param {Probs} draft
 * @param {number} k
 * @param {number} nats
 */
export function best(verifier, draft, k, nats) {
  const mass = sum(chosen(draft, k, "picked").map((token) => verifier[token]));
  return lift(Math.min(1, mass), nats, "exact");
}

// Whether a rule judges candidates that came so.
/**
 * @param {string} name
 * @param {string} drawing
 */
export const judges = (name, drawing) => boot.sets[name].drawings.includes(drawing);

// A rule's law, acceptance and divergence, and `short`: how much more the best rule would accept, which is the optimum for a
// lossless one. null where the rule is not defined.
/**
 * @param {string} name
 * @param {Probs} verifier
 * @param {Probs} draft
 * @param {number} k
 * @param {string} drawing
 * @param {Knobs} knobs
 * @param {number} most
 */
export function judge(name, verifier, draft, k, drawing, knobs = {}, most = optimum(verifier, draft, k, drawing)) {
  if (!judges(name, drawing)) return null;
  const { law, acceptance } = sets[name].judge(verifier, draft, k, drawing, { ...defaults(name), ...knobs });
  const divergence = kl(law, verifier);
  const top = boot.sets[name].lossless ? most : best(verifier, draft, k, divergence);
  return { law, acceptance, kl: divergence, short: Math.max(0, top - acceptance) };
}

// Every rule on every number of candidates, from 1 on: {k, optimum, rules: what `judge` says by the rule's name}.
/**
 * @param {Probs} verifier
 * @param {Probs} draft
 * @param {string} drawing
 * @param {Record<string, Knobs>} knobs
 * @returns {{ k: number, optimum: number, rules: Record<string, ReturnType<typeof judge>> }[]}
 */
export function table(verifier, draft, drawing, knobs = {}) {
  return Array.from({ length: MOST }, (_, i) => {
    const most = optimum(verifier, draft, i + 1, drawing);
    const rules = Object.keys(sets).map((name) => [
      name,
      judge(name, verifier, draft, i + 1, drawing, knobs[name], most),
    ]);
    return { k: i + 1, optimum: most, rules: Object.fromEntries(rules) };
  });
}
