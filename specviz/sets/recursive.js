// The twin of recursive.py: what an elder leaves is what the younger is judged against. A refused token has no probability
// left, so that no draw of the last residual hits one of the candidates.
import { leftover, sum } from "specviz/laws/laws.js";
import { next } from "specviz/laws/sets.js";

/** @type {SetTwin} */
export default {
  stroke: ["ink2", 2, "", "diamond", "solid"],
  judge(verifier, draft, k, drawing) {
    const law = verifier.map(() => 0);
    let acceptance = 0;
    /**
     * @param {Probs} target
     * @param {number[]} elders
     * @param {number} weight
     */
    const ask = (target, elders, weight) => {
      const probs = weight > 0 ? next(draft, k, drawing, elders) : null;
      if (!probs) {
        target.forEach((q, i) => {
          law[i] += weight * q;
        });
        return;
      }
      const kept = probs.map((p, i) => Math.min(p, target[i]));
      kept.forEach((mass, i) => {
        law[i] += weight * mass;
      });
      acceptance += weight * sum(kept);
      const rest = leftover(target, probs);
      const refused = probs.map((p, i) => p - kept[i]);
      // Only without replacement does the next one's law depend on which token was refused.
      if (drawing !== "without_replacement")
        ask(rest, [...elders, refused.findIndex((mass) => mass > 0)], weight * sum(refused));
      else refused.forEach((mass, token) => ask(rest, [...elders, token], weight * mass));
    };
    ask(verifier, [], 1);
    return { law, acceptance };
  },
};
