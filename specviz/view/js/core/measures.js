// The numbers of a lane: its figures, and how often drafted tokens were kept.
import * as estimates from "specviz/core/estimates.js";

/**
 * @param {number} top
 * @param {number} bottom
 */
const ratio = (top, bottom) => (bottom > 0 ? top / bottom : null);

// Tokens per second of a lane's own clock, an estimate: its rounds are the units.
/** @param {Sums} sum */
const pace = (sum) =>
  estimates.ratio({
    count: sum.rounds,
    above: sum.emitted,
    below: sum.seconds,
    above2: sum.emitted2,
    product: sum.paced,
    below2: sum.seconds2,
  });

// The lane's figures after `rounds` rounds; keys are those of specviz.metrics.
/**
 * @param {Run} run
 * @param {number} laneIndex
 * @param {number} rounds
 * @param {number | null} plainRounds
 */
export function figures(run, laneIndex, rounds, plainRounds = null) {
  const lane = run.lanes[laneIndex];
  const sum = lane.sums[Math.min(rounds, lane.sums.length - 1)];
  const plain = run.lanes.find((other) => other.rule === "plain");
  const base = plain?.sums[Math.min(plainRounds ?? plain.rounds.length, plain.sums.length - 1)];
  const gained = base ? estimates.quotient(pace(sum), pace(base)) : { value: NaN, low: null, high: null };
  return {
    rounds: sum.rounds,
    judged: sum.judged,
    kept: sum.kept,
    emitted: sum.emitted,
    seconds: sum.seconds,
    accepted_per_round: ratio(sum.kept, sum.rounds),
    emitted_per_round: ratio(sum.emitted, sum.rounds),
    acceptance_rate: ratio(sum.kept, sum.judged),
    relaxed_share: ratio(sum.relaxed, sum.emitted),
    relaxed: sum.relaxed,
    mean_kl: lane.rule === "plain" ? 0 : ratio(sum.kl, sum.klCount),
    tokens_per_second: ratio(sum.emitted, sum.seconds),
    speedup: Number.isFinite(gained.value) && sum.seconds > 0 ? gained.value : null,
    speedup_low: gained.low,
    speedup_high: gained.high,
    draft_share: ratio(sum.drafting, sum.seconds),
    verify_share: ratio(sum.verifying, sum.seconds),
  };
}

// Whether so many drafted tokens were kept, and the draft offered one to follow them.
/**
 * @param {Round} view
 * @param {number} count
 */
function goesOn({ given, shape }, count) {
  return count <= given.kept && shape.parents.includes(count ? shape.path[count - 1] : -1);
}

// By place in the draft: how often it was kept given that it was judged, and how often at all.
/**
 * @param {Lane} lane
 * @param {number} rounds
 */
export function bySlot(lane, rounds) {
  /** @type {number[]} */
  const reached = [];
  /** @type {number[]} */
  const kept = [];
  /** @type {number[]} */
  const all = [];
  lane.rounds.slice(0, rounds).forEach((view) => {
    for (let place = 0; place < view.shape.depth; place += 1) {
      all[place] = (all[place] || 0) + 1;
      if (goesOn(view, place)) reached[place] = (reached[place] || 0) + 1;
      if (place < view.given.kept) kept[place] = (kept[place] || 0) + 1;
    }
  });
  return all.map((count, slot) => ({
    slot: slot + 1,
    drafted: count,
    judged: reached[slot] || 0,
    kept: kept[slot] || 0,
    conditional: ratio(kept[slot] || 0, reached[slot] || 0),
    unconditional: (kept[slot] || 0) / count,
  }));
}

/**
 * @param {Lane} lane
 * @param {number} rounds
 */
export function lengths(lane, rounds) {
  /** @type {number[]} */
  const counts = [];
  lane.rounds
    .slice(0, rounds)
    .filter((view) => view.given.drafted.length)
    .forEach((view) => {
      counts[view.given.kept] = (counts[view.given.kept] || 0) + 1;
    });
  return Array.from(counts, (count) => count || 0);
}
