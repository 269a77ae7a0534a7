// The twin of fuzzy.py.
import { number, prob } from "specviz/core/formats.js";
import { aimed, js, strict, short } from "specviz/laws/laws.js";

/** @type {Twin} */
export default {
  symbols: { threshold: "τ" },
  stroke: ["ink3", 1.25, "5 2 1 2", "diamond", "dashdot"],
  law: (verifier, draft, { threshold }) => aimed(js(draft, verifier) < threshold ? draft : verifier, draft),
  accept: (facts, { threshold }) => (facts.js < threshold ? 1 : strict(facts)),
  because: (facts, { threshold }) =>
    `The two models differ by ${prob(facts.js)} nats here, less than τ = ${number(threshold)}.`,
  flip: (facts) => (short(facts) < 0 ? 0 : facts.js),
};
