// The twin of multi_path.py, for a draft of one token. Longer ones need what a trace does not hold.
import { aimed } from "specviz/laws/laws.js";

/** @type {Twin} */
export default {
  stroke: ["ink3", 1.25, "3 3", "hexagram-open", "dot"],
  pairwise: true,
  law: (verifier, draft) => ({ ...aimed(verifier, draft), target: null }),
};
