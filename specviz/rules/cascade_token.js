// The twin of cascade_token.py. Outside the verifier's favourites a token is kept while the draft has
// enough mass there; how much that is a trace does not say, except by the recorded flip point.
import { prob } from "specviz/core/formats.js";
import { aimed, sum } from "specviz/laws/laws.js";

/** @type {Twin} */
export default {
  symbols: { alpha: "α" },
  stroke: ["ink3", 1.25, "5 2 1 2", "cross-open", "dashdot"],
  whole: true,
  law(verifier, draft, { alpha }) {
    const bar = (1 - alpha) * Math.max(...verifier);
    const outside = sum(draft.filter((_, i) => verifier[i] < bar));
    return aimed(
      verifier.map((q, i) => (q >= bar ? draft[i] : 0) + outside * q),
      draft,
    );
  },
  accept: (facts, { alpha }) => (facts.rank === 1 || facts.verifier >= (1 - alpha) * facts.verifierMax ? 1 : null),
  because: (facts, { alpha }) =>
    facts.rank === 1 || facts.verifier >= (1 - alpha) * facts.verifierMax
      ? `Its verifier probability, ${prob(facts.verifier)}, is near enough to the favourite's, ${prob(facts.verifierMax)}.`
      : "The draft has enough of its chances outside the verifier's favourites.",
  again: (facts) => (facts.rank === 1 ? 0 : 1 - facts.verifier / facts.verifierMax),
};
