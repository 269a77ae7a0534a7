// The twin of interpolation.py.
import { number } from "specviz/core/formats.js";
import { aimed, ratio, short } from "specviz/laws/laws.js";

/** @type {Twin} */
export default {
  symbols: { alpha: "α" },
  stroke: ["ink3", 1.25, "", "diamond-open", "solid"],
  pairwise: true,
  law: (verifier, draft, { alpha }) =>
    aimed(
      verifier.map((q, i) => alpha * draft[i] + (1 - alpha) * q),
      draft,
    ),
  accept: (facts, { alpha }) => ratio(alpha * facts.draft + (1 - alpha) * facts.verifier, facts.draft),
  because: (facts, { alpha }) => `The target mixes the draft in, with a weight of α = ${number(alpha)}.`,
  flip: (facts) => (short(facts) > 0 ? short(facts) / (facts.draft - facts.verifier) : 0),
  contour: (knobs, draft) => draft,
};
