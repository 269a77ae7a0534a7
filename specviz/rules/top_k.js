// The twin of top_k.py.
import { leftover } from "specviz/laws/laws.js";

/** @type {Twin} */
export default {
  symbols: { k: "k" },
  stroke: ["ink3", 1.25, "", "triangle-down-open", "solid"],
  each: true,
  law(verifier, draft, { k }) {
    const kth = [...verifier].sort((a, b) => b - a)[Math.min(k, verifier.length) - 1];
    const liked = verifier.map((q) => (q >= kth && q > 0 ? 1 : 0));
    const rest = leftover(liked, draft);
    return { accept: liked, target: null, residual: () => rest };
  },
  accept: (facts, { k }) => (facts.rank <= k && facts.verifier > 0 ? 1 : 0),
  because: (facts, { k }) => `It is number ${facts.rank} of the verifier's favourites, and ${k} of them pass.`,
  flip: (facts) => (facts.verifier > 0 ? facts.rank : Infinity),
};
