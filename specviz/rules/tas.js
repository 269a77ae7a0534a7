// The twin of tas.py.
import { prob } from "specviz/core/formats.js";
import { entropy, favourite } from "specviz/laws/laws.js";

// The probability a token must exceed where the verifier's entropy is this many nats.
/**
 * @param {number} nats
 * @param {Knobs} knobs
 */
const barAt = (nats, { epsilon, alpha }) => Math.min(epsilon, alpha * Math.exp(-nats));

/** @type {Twin} */
export default {
  symbols: { epsilon: "ε", alpha: "α" },
  stroke: ["ink2", 1.5, "5 3", "square", "dash"],
  each: true,
  law(verifier, draft, knobs) {
    const bar = barAt(entropy(verifier), knobs);
    const rest = knobs.fallback === "greedy" ? favourite(verifier) : verifier;
    return { accept: verifier.map((q) => (q > bar ? 1 : 0)), target: null, residual: () => rest };
  },
  accept: (facts, knobs) => (facts.verifier > barAt(facts.entropy, knobs) ? 1 : 0),
  because: (facts, knobs) =>
    `Its verifier probability, ${prob(facts.verifier)}, passes the bar, ${prob(barAt(facts.entropy, knobs))} here.`,
  flip: (facts, { alpha }) => (facts.verifier > alpha * Math.exp(-facts.entropy) ? Infinity : facts.verifier),
  contour: (knobs) => knobs.epsilon,
};
