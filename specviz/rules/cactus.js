// The twin of cactus.py.
import { number, prob } from "specviz/core/formats.js";
import { lift, liftCost, lifting, ratio, short } from "specviz/laws/laws.js";

/** @type {Twin} */
export default {
  symbols: { delta: "δ" },
  stroke: ["ink", 2.25, "", "circle", "solid"],
  pairwise: true,
  law: (verifier, draft, { delta, solver }) => lifting(verifier, draft, delta, solver),
  accept: (facts, { delta, solver }) => ratio(lift(facts.verifier, delta, solver), facts.draft),
  flip: (facts, { solver }) => liftCost(facts.verifier, short(facts), solver),

  because: (facts, { delta, solver }) =>
    `The budget δ = ${number(delta)} lifts it from ${prob(facts.verifier)} to ${prob(lift(facts.verifier, delta, solver))}.`,

  // delta bounds the divergence of one drafted token's target: what that costs by either solver.
  costs(facts, { delta }) {
    /** @param {string} solver */
    const cost = (solver) => {
      const rise = lift(facts.verifier, delta, solver) - facts.verifier;
      return liftCost(facts.verifier, rise, "exact");
    };
    return { taylor: cost("taylor"), exact: cost("exact") };
  },

  contour(knobs, draft) {
    let low = 1e-12;
    let high = draft;
    for (let i = 0; i < 60; i += 1) {
      const middle = Math.sqrt(low * high);
      if (lift(middle, knobs.delta, knobs.solver) >= draft) high = middle;
      else low = middle;
    }
    return high;
  },
};
