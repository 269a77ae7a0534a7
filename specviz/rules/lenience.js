// The twin of lenience.py.
import { number } from "specviz/core/formats.js";
import { leftover, ratio } from "specviz/laws/laws.js";

/** @type {Twin} */
export default {
  symbols: { factor: "l" },
  stroke: ["ink3", 1.25, "", "triangle-up-open", "solid"],
  pairwise: true,
  law(verifier, draft, { factor }) {
    const rest = leftover(verifier, draft);
    const accept = verifier.map((q, n) => ratio(q, factor * draft[n]));
    return { accept, target: null, residual: () => rest };
  },
  accept: (facts, { factor }) => ratio(facts.verifier, factor * facts.draft),
  because: (facts, { factor }) => `The draft's probability counts only ${number(factor)} times against it.`,
  flip: (facts) => (facts.verifier > 0 ? facts.verifier / (facts.uniform * facts.draft) : 0),
  contour: (knobs, draft) => Math.min(1, knobs.factor * draft),
};
