// The twin of exact_match.py.
import { favourite } from "specviz/laws/laws.js";

/** @type {Twin} */
export default {
  stroke: ["ink3", 1.25, "7 3", "triangle-up", "longdash"],
  each: true,
  law(verifier) {
    const best = favourite(verifier);
    return { accept: best, target: null, residual: () => best };
  },
  because: () => "It is the verifier's favourite.",
  accept: (facts) => (facts.rank === 1 ? 1 : 0),
};
