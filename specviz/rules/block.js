// The twin of block.py, for a block of one token. Longer blocks need what a trace does not hold.
import { aimed } from "specviz/laws/laws.js";

/** @type {Twin} */
export default {
  stroke: ["ink3", 1.25, "7 3", "square-open", "longdash"],
  pairwise: true,
  law: (verifier, draft) => ({ ...aimed(verifier, draft), target: null }),
};
