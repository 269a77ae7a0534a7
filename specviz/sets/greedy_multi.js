// The twin of greedy_multi.py: the drawn candidate is judged alone; a residual that hits a chosen one counts as well.
import { leftover, sum } from "specviz/laws/laws.js";
import { chosen, next } from "specviz/laws/sets.js";

/** @type {SetTwin} */
export default {
  stroke: ["ink2", 1.5, "", "triangle-up-open", "solid"],
  judge(verifier, draft, k, drawing) {
    const drawn = /** @type {Probs} */ (next(draft, k, drawing, []));
    const kept = verifier.map((q, i) => Math.min(q, drawn[i]));
    const rest = leftover(verifier, drawn);
    const refused = 1 - sum(kept);
    return {
      law: kept.map((mass, i) => mass + refused * rest[i]),
      acceptance: sum(kept) + refused * sum(chosen(draft, k, drawing).map((token) => rest[token])),
    };
  },
};
