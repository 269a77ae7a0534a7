// The twin of cactus_set.py: the mass of a chosen set is lifted as Cactus lifts one token; inside and outside of the set the
// verifier's proportions stay, so that what is spent is what the output law strays.
import { lift, sum } from "specviz/laws/laws.js";
import { chosen } from "specviz/laws/sets.js";

/** @type {SetTwin} */
export default {
  spends: "delta",
  symbols: { delta: "δ" },
  stroke: ["ink", 2.25, "", "circle", "solid"],
  judge(verifier, draft, k, drawing, { delta, solver }) {
    const inside = chosen(draft, k, drawing);
    const mass = Math.min(1, sum(inside.map((token) => verifier[token])));
    const lifted = lift(mass, delta, solver);
    const [up, down] = [mass > 0 ? lifted / mass : 0, mass < 1 ? (1 - lifted) / (1 - mass) : 0];
    return { law: verifier.map((q, i) => q * (inside.includes(i) ? up : down)), acceptance: mass > 0 ? lifted : 0 };
  },
};
