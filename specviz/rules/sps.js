// The twin of sps.py. What a twin may say stands in view/js/laws/twins.js.
import { aimed, strict } from "specviz/laws/laws.js";

/** @type {Twin} */
export default {
  stroke: ["ink3", 1.5, "1.5 3", "circle-open", "dot"],
  pairwise: true,
  law: (verifier, draft) => aimed(verifier, draft),
  accept: (facts) => strict(facts),
  contour: (knobs, draft) => draft,
};
