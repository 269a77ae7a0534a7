// Intervals of what was counted and timed, 95 %: twins of specviz/prob/stats.py. Pure.
// An estimate is {value, low, high}; its ends are null where one unit says nothing about how units differ.
const NORMAL = 1.959963984540054;
const WIDE = 0.6; // an interval this wide, as a share of its value, says too little
const PLAIN = 1.5; // unless all of it is so many times faster, or slower

// The probability that Student's t lies within ±t (Abramowitz & Stegun 26.7.3 and 26.7.4).
/**
 * @param {number} t
 * @param {number} freedom
 */
function within(t, freedom) {
  const angle = Math.atan(t / Math.sqrt(freedom));
  const odd = freedom % 2;
  let term = odd ? Math.cos(angle) : 1;
  let total = 0;
  for (let power = odd; power <= freedom - 2; power += 2) {
    total += term;
    term *= ((power + 1) / (power + 2)) * Math.cos(angle) ** 2;
  }
  return odd ? (2 / Math.PI) * (angle + Math.sin(angle) * total) : Math.sin(angle) * total;
}

/** @type {Map<number, number>} */
const quantiles = new Map(); // by degrees of freedom

// What Student's t stays within 95 times in 100, either side; far out by its expansion (Abramowitz & Stegun 26.7.5).
/** @param {number} freedom */
export function student(freedom) {
  if (freedom > 100) {
    const z = NORMAL;
    const terms = [
      (z ** 3 + z) / 4,
      (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
      (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
    ];
    return terms.reduce((total, term, i) => total + term / freedom ** (i + 1), z);
  }
  if (!quantiles.has(freedom)) {
    let low = 1.9;
    let high = 13;
    for (let i = 0; i < 60; i += 1) {
      const middle = (low + high) / 2;
      if (within(middle, freedom) < 0.95) low = middle;
      else high = middle;
    }
    quantiles.set(freedom, (low + high) / 2);
  }
  return /** @type {number} */ (quantiles.get(freedom));
}

// sum(above) / sum(below) of quantities with one entry each per unit, by the linearised standard error of a ratio, from sums
// over the units: `above`, `below`, and of their squares and products.
/**
 * @param {Record<"count" | "above" | "below" | "above2" | "product" | "below2", number>} sums
 * @returns {Estimate}
 */
export function ratio({ count, above, below, above2, product, below2 }) {
  const value = below ? above / below : NaN;
  if (count < 2 || !Number.isFinite(value)) return { value, low: null, high: null };
  const squares = Math.max(0, above2 - 2 * value * product + value * value * below2);
  const half = (student(count - 1) * Math.sqrt((count / (count - 1)) * squares)) / below;
  return { value, low: Math.max(0, value - half), high: value + half };
}

// One estimate over another that is independent of it: their relative half-widths add up as squares.
/**
 * @param {Estimate} above
 * @param {Estimate} below
 * @returns {Estimate}
 */
export function quotient(above, below) {
  const value = below.value ? above.value / below.value : NaN;
  if (above.high === null || below.high === null || !(above.value > 0) || !(below.value > 0))
    return { value, low: null, high: null };
  const half = value * Math.hypot(above.high / above.value - 1, below.high / below.value - 1);
  return { value, low: Math.max(0, value - half), high: value + half };
}

// Wilson's interval of a share, [low, high]; null without trials.
/**
 * @param {number} successes
 * @param {number} trials
 * @returns {[number, number] | null}
 */
export function wilson(successes, trials) {
  if (!trials) return null;
  const share = successes / trials;
  const square = NORMAL * NORMAL;
  const middle = (share + square / (2 * trials)) / (1 + square / trials);
  const half =
    (NORMAL / (1 + square / trials)) * Math.sqrt((share * (1 - share)) / trials + square / (4 * trials * trials));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

// Whether a speed-up says which of the two is faster, and by how much, or that it is much faster.
/** @param {Estimate} speedup */
export function telling({ value, low, high }) {
  if (low === null || high === null || (low <= 1 && high >= 1)) return false;
  return high - low <= WIDE * value || low >= PLAIN || high <= 1 / PLAIN;
}
