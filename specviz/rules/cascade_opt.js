// The twin of cascade_opt.py.
import { aimed, tv, strict, short, ROUNDING } from "specviz/laws/laws.js";

/** @type {Twin} */
export default {
  symbols: { alpha: "α" },
  stroke: ["ink3", 1.25, "", "cross-open", "solid"],
  law(verifier, draft, { alpha }) {
    const ahead = Math.max(...verifier) - alpha * tv(draft, verifier);
    return aimed(alpha < 1 && Math.max(...draft) < ahead ? verifier : draft, draft);
  },
  accept(facts, { alpha }) {
    const ahead = facts.verifierMax - alpha * facts.tv - facts.draftMax;
    return ahead > ROUNDING ? strict(facts) : 1;
  },
  because: () => "The verifier is not so far ahead here that it would be asked: the draft writes.",
  flip(facts) {
    if (short(facts) < 0 || !(facts.tv > 0)) return -1;
    return Math.max(-1, Math.min(1, (facts.verifierMax - facts.draftMax) / facts.tv));
  },
};
