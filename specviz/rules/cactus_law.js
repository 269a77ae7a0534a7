// The twin of cactus_law.py.
import { number } from "specviz/core/formats.js";
import { lifting, outcome } from "specviz/laws/laws.js";

// The delta at which KL(law || verifier) is `budget`; where keeping all it can costs less than
// that, the least that does.
/**
 * @param {Probs} verifier
 * @param {Probs} draft
 * @param {number} budget
 */
function deltaFor(verifier, draft, budget) {
  if (budget <= 0) return 0;
  const limits = verifier.map((q, i) => (q > 0 && q < 1 && draft[i] > q ? (draft[i] - q) ** 2 / (2 * q * (1 - q)) : 0));
  const top = Math.min(Math.max(...limits) * (1 + 1e-9), 1e300);
  /** @param {number} delta */
  const spent = (delta) => outcome(lifting(verifier, draft, delta, "taylor"), verifier, draft).kl;
  if (!(top > 0) || spent(top) <= budget) return top;
  /** @param {number} at */
  const miss = (at) => Math.log(spent(Math.exp(at)) / budget);
  let right = Math.log(top);
  let left = Math.min(right, Math.log(budget)) - 4;
  let [below, above] = [miss(left), miss(right)];
  let last = 0;
  while (below > 0) {
    left -= 8;
    below = miss(left);
  }
  // Regula falsi on logarithms; an end that stays counts half.
  for (let i = 0; i < 100 && right - left > 1e-15; i += 1) {
    const guess = left - (below * (right - left)) / (above - below);
    const middle = i % 8 < 7 && guess > left && guess < right ? guess : (left + right) / 2;
    if (middle <= left || middle >= right) break;
    const off = miss(middle);
    if (Math.abs(off) < 1e-15) return Math.exp(middle);
    if (off < 0) {
      [left, below] = [middle, off];
      if (last < 0) above /= 2;
    } else {
      [right, above] = [middle, off];
      if (last > 0) below /= 2;
    }
    last = off;
  }
  return Math.exp((left + right) / 2);
}

/** @type {Twin} */
export default {
  symbols: { budget: "b" },
  stroke: ["ink2", 1.25, "7 3", "circle", "longdash"],
  whole: true,
  because: (facts, { budget }) => `The budget of the whole step, ${number(budget)} nats, lifts it far enough.`,
  law: (verifier, draft, { budget }) => lifting(verifier, draft, deltaFor(verifier, draft, budget), "taylor"),
};
