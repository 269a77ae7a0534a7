// The twin of sampler_match.py.
import { normalised, sum } from "specviz/laws/laws.js";

/** @type {Twin} */
export default {
  stroke: ["ink3", 1.25, "1.5 3", "triangle-down", "dot"],
  pairwise: true,
  law: (verifier) => ({
    accept: verifier.map((q) => Math.min(1, q)),
    target: null,
    residual(n) {
      const others = verifier.map((q, i) => (i === n ? 0 : q));
      return sum(others) > 0 ? normalised(others) : verifier;
    },
  }),
  accept: (facts) => Math.min(1, facts.verifier),
};
