// The twin of contrastive.py. A recorded token's target depends on all tokens of its place, which a trace does not hold.
import { aimed, sum } from "specviz/laws/laws.js";

/** @type {Record<string, number>} */
const ALPHA = { tenth: 0.1, half: 0.5, whole: 1 };

/** @type {Twin} */
export default {
  stroke: ["ink3", 1.25, "1.5 3", "triangle-up", "dot"],
  whole: true,
  law(verifier, draft, knobs) {
    const alpha = ALPHA[knobs.lean];
    const both = verifier.map((q, i) => (q > 0 && draft[i] > 0 ? q * (q / draft[i]) ** alpha : 0));
    const mass = sum(verifier.filter((_, i) => draft[i] > 0));
    const all = sum(both);
    return aimed(
      verifier.map((q, i) => (draft[i] > 0 ? (all > 0 ? (mass * both[i]) / all : 0) : q)),
      draft,
    );
  },
  because: () => "The verifier likes it better than the draft does, and that counts more than once.",
};
