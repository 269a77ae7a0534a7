// The twin of k_seq.py, for a single candidate; of several the fate hangs on their whole distribution.
import { aimed } from "specviz/laws/laws.js";

/** @type {Twin} */
export default {
  stroke: ["ink3", 1.25, "7 2 1 2", "square", "longdashdot"],
  whole: true,
  law: (verifier, draft) => aimed(verifier, draft),
};
