// What a run would take on other hardware, from the exact counts of its rounds. Pure.
//   costs {verifier, look}: one verifier call costs as much as `verifier` drafted tokens; a call that looks at LOOK tokens
//         costs as much as `look` calls that look at one, and linearly more or less for others.
// The unit is a call that looks at one token, which is what plain decoding pays for each token it writes.
export const LOOK = 5;
/** @type {Record<keyof Costs, [number, number]>} */
export const LIMITS = { verifier: [1, 200], look: [1, 5] };

/**
 * @param {keyof Costs} name
 * @param {number} value
 */
function clamped(name, value) {
  const [low, high] = LIMITS[name];
  return Math.min(high, Math.max(low, value));
}

// Tokens written per unit over {rounds, drafted, emitted}, which is the speed-up over plain decoding; a drafter without a
// model (`model` false) drafts for nothing. null without rounds.
/**
 * @param {Costs} costs
 * @param {{ rounds: number, drafted: number, emitted: number }} counts
 * @param {boolean} model
 */
export function speedup({ verifier, look }, { rounds, drafted, emitted }, model = true) {
  const perDrafted = (model ? 1 / verifier : 0) + (look - 1) / (LOOK - 1);
  return rounds ? emitted / (rounds + perDrafted * drafted) : null;
}

/** @param {number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// The costs of the machine that made these rounds, by medians over all but the first of each lane, which read the prompt:
// `plain` are rounds of plain decoding, `drafting` those of lanes whose drafter computes. null where they do not say.
/**
 * @param {RoundData[]} plain
 * @param {RoundData[][]} drafting
 * @returns {Costs | null}
 */
export function measured(plain, drafting) {
  const alone = plain.slice(1).map((round) => round.verify_seconds);
  const rounds = drafting.flatMap((lane) => lane.slice(1).filter((round) => round.drafted.length));
  const unit = alone.length ? median(alone) : 0;
  const token = rounds.length ? median(rounds.map((round) => round.draft_seconds / round.drafted.length)) : 0;
  if (!(unit > 0) || !(token > 0)) return null;
  const more = median(rounds.map((round) => (round.verify_seconds / unit - 1) / round.drafted.length));
  return { verifier: clamped("verifier", unit / token), look: clamped("look", 1 + (LOOK - 1) * more) };
}

// What of a link are costs; null if it is none.
/**
 * @param {any} value
 * @returns {Costs | null}
 */
export function readable(value) {
  const good = [value?.verifier, value?.look].every((cost) => typeof cost === "number" && Number.isFinite(cost));
  return good ? { verifier: clamped("verifier", value.verifier), look: clamped("look", value.look) } : null;
}
