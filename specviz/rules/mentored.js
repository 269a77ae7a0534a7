// The twin of mentored.py.
import { number } from "specviz/core/formats.js";
import { aimed, clips } from "specviz/laws/laws.js";

/** @type {Twin} */
export default {
  symbols: { budget: "b" },
  stroke: ["ink2", 1.25, "", "hexagon", "solid"],
  note: "the optimum",
  whole: true,
  because: (facts, { budget }) => `The budget of the step, ${number(budget)} nats, has room for it.`,
  law(verifier, draft, { budget }) {
    if (budget <= 0) return aimed(verifier, draft);
    const all = clips(verifier, draft);
    const moved = all.spend(budget);
    return aimed(moved === 0 ? draft : all.target(moved), draft);
  },
};
