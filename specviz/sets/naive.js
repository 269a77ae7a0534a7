// The twin of naive.py: y is drawn from the verifier, and kept where it is one of the candidates.
import { sum } from "specviz/laws/laws.js";
import { covered } from "specviz/laws/sets.js";

/** @type {SetTwin} */
export default {
  stroke: ["ink3", 1.25, "1.5 3", "triangle-down", "dot"],
  judge: (verifier, draft, k, drawing) => ({
    law: verifier,
    acceptance: sum(covered(draft, k, drawing).map((chance, i) => chance * verifier[i])),
  }),
};
