// The twin of two_step.py: one of the candidates is selected, so that its law is as near to the verifier as a selection can
// bring it, and judged alone.
import { leftover, sum } from "specviz/laws/laws.js";

// The laws that a selection can have put at least p(H)^k on every set of tokens H. The best of them, in rising order of
// verifier/draft, has the slopes of the least concave curve above p(H)^k over q(H).
/**
 * @param {Probs} verifier
 * @param {Probs} draft
 * @param {number} k
 */
export function selected(verifier, draft, k) {
  /** @param {number} i */
  const ratio = (i) => (draft[i] > 0 ? verifier[i] / draft[i] : Infinity);
  const order = draft.map((_, i) => i).sort((a, b) => ratio(a) - ratio(b) || 0);
  const points = [{ q: 0, p: 0 }];
  order.forEach((token, i) => points.push({ q: points[i].q + verifier[token], p: points[i].p + draft[token] }));
  const heights = points.map(({ p }) => Math.min(1, p) ** k);
  /** @type {(from: number, to: number) => number} */
  const slope = (from, to) => (heights[to] - heights[from]) / (points[to].q - points[from].q);
  let corners = [0];
  for (let i = 1; i < points.length; i += 1) {
    if (points[i].q === points[corners[0]].q)
      corners = [i]; // a wall: the curve starts at its top
    else {
      const last = () => corners[corners.length - 1];
      while (corners.length > 1 && slope(corners[corners.length - 2], last()) <= slope(corners[corners.length - 2], i))
        corners.pop();
      corners.push(i);
    }
  }
  const law = draft.map(() => 0);
  let next = 1; // the corner at or behind each point
  order.forEach((token, i) => {
    if (i < corners[0]) law[token] = heights[i + 1] - heights[i];
    else {
      while (corners[next] < i + 1) next += 1;
      const [from, to] = [corners[next - 1], corners[next]];
      law[token] = Math.max(0, (points[i + 1].q - points[i].q) * slope(from, to));
    }
  });
  return law;
}

/** @type {SetTwin} */
export default {
  stroke: ["ink2", 1.5, "2 3", "diamond-open", "dot"],
  judge(verifier, draft, k) {
    const choice = selected(verifier, draft, k);
    const kept = choice.map((p, i) => Math.min(p, verifier[i]));
    const acceptance = sum(kept);
    const rest = leftover(verifier, choice);
    return { law: kept.map((mass, i) => mass + (1 - acceptance) * rest[i]), acceptance };
  },
};
