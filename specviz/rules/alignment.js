// The twin of alignment.py.
import { prob } from "specviz/core/formats.js";
import { entropy } from "specviz/laws/laws.js";

// The probability a token must exceed where the verifier's entropy is this many nats.
/**
 * @param {number} nats
 * @param {Knobs} knobs
 */
const barAt = (nats, { beta, alpha }) => beta - alpha * nats;

/** @type {Twin} */
export default {
  symbols: { beta: "β", alpha: "α" },
  stroke: ["ink2", 1.25, "1.5 3", "diamond", "dot"],
  law(verifier, draft, knobs) {
    const bar = barAt(entropy(verifier), knobs);
    const most = Math.max(...verifier);
    return { accept: verifier.map((q) => (q > bar || q === most ? 1 : 0)), target: null, residual: () => verifier };
  },
  accept: (facts, knobs) => (facts.rank === 1 || facts.verifier > barAt(facts.entropy, knobs) ? 1 : 0),
  because: (facts, knobs) =>
    `Its verifier probability, ${prob(facts.verifier)}, passes the bar, ${prob(
      Math.max(0, barAt(facts.entropy, knobs)),
    )} here.`,
  flip: (facts, { alpha }) => (facts.rank === 1 ? Infinity : facts.verifier + alpha * facts.entropy),
};
