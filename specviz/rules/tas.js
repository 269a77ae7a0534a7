// The twin of tas.py.
import { entropy, favourite } from "specviz/laws/laws.js";

/** @type {Twin} */
export default {
  symbols: { epsilon: "ε", alpha: "α" },
  stroke: ["ink2", 1.5, "5 3", "square", "dash"],
  law(verifier, draft, { epsilon, alpha, fallback }) {
    const bar = Math.min(epsilon, alpha * Math.exp(-entropy(verifier)));
    const rest = fallback === "greedy" ? favourite(verifier) : verifier;
    return { accept: verifier.map((q) => (q > bar ? 1 : 0)), target: null, residual: () => rest };
  },
  accept: (facts, { epsilon, alpha }) => (facts.verifier > Math.min(epsilon, alpha * Math.exp(-facts.entropy)) ? 1 : 0),
  flip: (facts, { alpha }) => (facts.verifier > alpha * Math.exp(-facts.entropy) ? Infinity : facts.verifier),
  contour: (knobs) => knobs.epsilon,
};
