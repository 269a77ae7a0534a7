// The twin of k_seq.py: each candidate in turn is kept with min(1, q/(g p)), with the one g that lets the residual make up
// for it.
import { normalised, sum } from "specviz/laws/laws.js";

// The root of 1 - (1 - beta(g))^k = g beta(g) in [1, k], where beta(g) = sum of min(p, q/g).
/**
 * @param {Probs} verifier
 * @param {Probs} draft
 * @param {number} k
 */
function root(verifier, draft, k) {
  /** @param {number} g */
  const excess = (g) => {
    const beta = sum(draft.map((p, i) => Math.min(p, verifier[i] / g)));
    return 1 - (1 - beta) ** k - g * beta;
  };
  let [low, high] = [1, k];
  for (let i = 0; i < 100 && high - low > 0; i += 1) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) break;
    if (excess(middle) > 0) low = middle;
    else high = middle;
  }
  return high;
}

/** @type {SetTwin} */
export default {
  stroke: ["ink2", 1.5, "6 4", "square", "dash"],
  judge(verifier, draft, k) {
    const g = root(verifier, draft, k);
    const kept = draft.map((p, i) => Math.min(p, verifier[i] / g));
    const beta = sum(kept);
    if (!(beta > 0)) return { law: verifier, acceptance: 0 };
    const acceptance = 1 - (1 - beta) ** k;
    const written = kept.map((mass) => (mass * acceptance) / beta);
    const missing = verifier.map((q, i) => Math.max(0, q - written[i]));
    const rest = sum(missing) > 0 ? normalised(missing) : verifier;
    return { law: written.map((mass, i) => mass + (1 - acceptance) * rest[i]), acceptance };
  },
};
