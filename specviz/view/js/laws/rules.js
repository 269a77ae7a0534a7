// What a rule would do with a recorded token, from the few numbers a trace holds, by its twin. Pure: no page.
import { boot } from "specviz/core/boot.js";
import { number, symbol } from "specviz/core/formats.js";
import * as store from "specviz/core/store.js";
import { twins } from "specviz/laws/twins.js";

const RECORDED = 6e-5; // a recorded figure has five digits

// What the rule says of itself in Python: its knobs, which of them `flips`, and `loose_below`.
/** @param {string} rule */
const about = (rule) => boot.rules[rule];
/**
 * @param {unknown} value
 * @returns {value is number}
 */
const isNumber = (value) => typeof value === "number" && !Number.isNaN(value);

// The probability that the token is kept, or null where these numbers do not decide it.
/**
 * @param {string} rule
 * @param {Facts} facts
 * @param {Knobs} knobs
 */
export function accept(rule, facts, knobs) {
  const value = twins[rule]?.accept?.(facts, knobs || {}) ?? null;
  return isNumber(value) ? value : null;
}

// Which values of its main knob keep a judged token of a lane with the same u: those less than
// `below`, and those of at least `from`. By the flip point as it was recorded, or else from what
// was; null where that does not say it, or the rule has no such knob.
/**
 * @param {Lane} lane
 * @param {Facts} facts
 */
export function keptAt(lane, facts) {
  const rule = about(lane.rule);
  const knob = rule?.knobs.find(({ name }) => name === rule.flips);
  if (!knob) return null;
  const twin = twins[lane.rule];
  const flip = isNumber(facts.flip) ? facts.flip : twin?.flip?.(facts, lane.knobs);
  if (!isNumber(flip)) return null;
  if (!rule.loose_below) return { knob, below: -Infinity, from: flip };
  return { knob, below: flip, from: twin?.again?.(facts) ?? Infinity };
}

// The knobs of a lane that are not as they ran.
/**
 * @param {Lane} lane
 * @param {Knobs} knobs
 */
export const turned = (lane, knobs) =>
  Object.keys(lane.knobs).filter((name) => String(lane.knobs[name]) !== String(knobs[name]));

// Whether only the main knob was turned, of which a recorded flip point speaks.
/**
 * @param {Lane} lane
 * @param {Knobs} knobs
 */
function mainAlone(lane, knobs) {
  const names = turned(lane, knobs);
  return names.length === 1 && names[0] === about(lane.rule)?.flips;
}

// Whether the rule that ran there would keep the token with the same u; null where undecided.
/**
 * @param {Lane} lane
 * @param {Facts} facts
 * @param {Knobs} knobs
 */
function keeps(lane, facts, knobs) {
  if (isNumber(facts.flip) && mainAlone(lane, knobs)) {
    const kept = keptAt(lane, facts);
    return kept && (knobs[kept.knob.name] < kept.below || knobs[kept.knob.name] >= kept.from);
  }
  const phi = accept(lane.rule, facts, knobs);
  return phi === null ? null : facts.uniform < phi;
}

// A number that surely lies on the far side of `value`, upwards or downwards: with two digits, or
// as many as it takes to tell it from the knob's own value.
/**
 * @param {number} value
 * @param {boolean} up
 * @param {unknown} own
 */
function beyond(value, up, own) {
  for (let digits = 2; value !== 0 && digits < 6; digits += 1) {
    const scale = 10 ** (digits - 1 - Math.floor(Math.log10(Math.abs(value))));
    const near = (up ? Math.ceil : Math.floor)(value * scale) / scale;
    if (!isNumber(own) || own >= value === own >= near) return number(near, digits);
  }
  return number(value, 6);
}

// The same in words and numbers by turns: ["below α = ", "0.39", ", and again from ", "0.60"], or
// ["at any α"]; [] where no value keeps it.
/**
 * @param {Lane} lane
 * @param {Facts} facts
 */
export function keptWords(lane, facts) {
  const kept = keptAt(lane, facts);
  if (!kept) return null;
  const { knob } = kept;
  const name = symbol(knob.name);
  const own = lane.knobs[knob.name];
  const high = knob.high ?? Infinity;
  const exact = knob.type === "int";
  let { below, from } = kept;
  if (Number.isFinite(below) && !exact) below -= RECORDED * Math.abs(below);
  if (from > knob.low && from <= high && !exact) {
    from += RECORDED * (kept.below > -Infinity ? 1 : Math.abs(from));
    from = Math.min(from, high);
  }
  if (below > high || from <= Math.max(below, knob.low)) return [`at any ${name}`];
  const words = [];
  if (below > knob.low) {
    words.push(`below ${name} = `, exact ? String(below) : beyond(below, false, own));
  }
  if (from <= high) {
    words.push(words.length ? ", and again from " : `from ${name} = `);
    words.push(exact || from === high ? String(from) : beyond(from, true, own));
  }
  return words;
}

// Whether another candidate for its place was judged before it.
/** @type {(lane: Lane, token: Token) => boolean} */
function younger(lane, token) {
  const { parents } = lane.rounds[token.round].shape;
  return parents.indexOf(parents[token.slot]) !== token.slot;
}

// A lane's judged tokens under other knobs: key -> {fate}. A younger candidate is left out, unless its rule judges each by
// itself: it would be judged against something else. `first` is the key of the first changed fate. What follows that token
// never happened: it is counterfactual.
/**
 * @param {Run} run
 * @param {Lane} lane
 * @param {Knobs} knobs
 */
export function whatIf(run, lane, knobs) {
  const changed = new Map();
  const same = !turned(lane, knobs).length;
  /** @type {number | null} */
  let first = null;
  lane.tokens.forEach((token) => {
    if (token.judged < 0 || token.fate === "discarded") return;
    if (!same && !twins[lane.rule]?.each && younger(lane, token)) return;
    const was = token.fate !== "rejected";
    const kept = same ? was : keeps(lane, factsOf(run, token), knobs);
    if (kept === null) return;
    const relaxed = token.uniform >= token.strict && !lane.lossless;
    changed.set(token.key, { fate: !kept ? "rejected" : relaxed ? "relaxed" : "accepted" });
    if (kept !== was && first === null) first = token.key;
  });
  return { changed, first };
}

// Of a judged token.
/** @type {(run: Run, token: Token) => Facts} */
const factsOf = (run, token) => /** @type {Facts} */ (store.detail(run, token).facts);

// Whether a lane can be judged again with these knobs: some rules need recorded flip points, which
// older runs lack.
/**
 * @param {Lane} lane
 * @param {Knobs} knobs
 */
export function canRejudge(lane, knobs) {
  const twin = twins[lane.rule];
  if (!twin) return false;
  if (twin.accept && !twin.whole) return true;
  return mainAlone(lane, knobs) && lane.rounds.some(({ given }) => given.judged.flip);
}

// The knob of a rule that is a budget of divergence, in nats; null for a rule without one.
/** @param {string} rule */
export const budget = (rule) => about(rule)?.knobs.find(({ name }) => name === about(rule).spends) ?? null;

// Why the rule kept a token that a strict check refuses, in a sentence of its own; "" where its twin does not say.
/**
 * @param {Lane} lane
 * @param {Facts} facts
 */
export const because = (lane, facts) => twins[lane.rule]?.because?.(facts, lane.knobs) ?? "";

// Why it cannot, in words that follow the knobs' own.
/** @param {Lane} lane */
export function refusal(lane) {
  if (twins[lane.rule]) return "has not run yet";
  return `has not run yet, and the browser cannot compute ${lane.rule}`;
}

// Where the rule's acceptance reaches 1: for a draft probability, the verifier probability. null:
// not a line between the two.
/**
 * @param {string} rule
 * @param {Knobs} knobs
 * @param {number} draft
 */
export const contour = (rule, knobs, draft) => twins[rule]?.contour?.(knobs, draft) ?? null;

// By more than the rounding of what a trace holds.
/**
 * @param {number} nats
 * @param {number} delta
 */
const over = (nats, delta) => nats > delta * 1.0001 + 1e-6;

// A budget on one token's target against what was spent at a judged token: by the target as it
// ran, by that of each solver, and by the whole step's output law. null without such a budget.
/**
 * @param {Lane} lane
 * @param {Facts} facts
 */
export function spending(lane, facts) {
  const twin = twins[lane.rule];
  if (!twin?.costs) return null;
  const delta = lane.knobs[/** @type {string} */ (about(lane.rule)?.spends)];
  const { klTarget: target, klOutput: law } = facts;
  return {
    delta,
    target,
    law,
    ...twin.costs(facts, lane.knobs),
    targetOver: over(Number(target), delta),
    lawOver: over(law, delta),
  };
}

// The same over some judged tokens of a lane: counts, means, and the most times the law cost the
// budget.
/**
 * @param {Run} run
 * @param {Lane} lane
 * @param {Token[]} tokens
 */
export function spent(run, lane, tokens) {
  const each = tokens
    .filter((token) => token.judged >= 0 && token.fate !== "discarded")
    .flatMap((token) => spending(lane, factsOf(run, token)) ?? []);
  if (!each.length) return null;
  const { delta } = each[0];
  /** @param {"target" | "taylor" | "exact" | "law"} name */
  const mean = (name) => each.reduce((total, one) => total + Number(one[name]), 0) / each.length;
  /** @param {"lawOver" | "targetOver"} name */
  const count = (name) => each.filter((one) => one[name]).length;
  return {
    judged: each.length,
    delta,
    lawOver: count("lawOver"),
    targetOver: count("targetOver"),
    worst: delta > 0 ? Math.max(...each.map((one) => one.law)) / delta : null,
    target: mean("target"),
    taylor: mean("taylor"),
    exact: mean("exact"),
    law: mean("law"),
  };
}
