// The twin of traversal.py, for a draft of one token. Longer ones need what a trace does not hold.
import { aimed } from "specviz/laws/laws.js";

/** @type {Twin} */
export default {
  stroke: ["ink3", 1.25, "5 3", "hexagon-open", "dash"],
  pairwise: true,
  law: (verifier, draft) => ({ ...aimed(verifier, draft), target: null }),
};
