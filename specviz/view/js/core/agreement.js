// What a drafted token costs, and how often it is kept. Pure.
import { wilson } from "specviz/core/estimates.js";

/**
 * @param {RoundData[]} rounds
 * @param {(round: RoundData) => number} of
 */
const mean = (rounds, of) => rounds.reduce((sum, round) => sum + of(round), 0) / rounds.length;

// Seconds of a verifier call: the mean over these rounds but the first, which reads the prompt. null where there are none.
/** @param {RoundData[]} rounds */
export const callOf = (rounds) => mean(rounds.slice(1), (round) => round.verify_seconds) || null;

// Over a lane's rounds but the first, in calls of `call` seconds; null while nothing was drafted.
//   share, interval  of the drafted tokens how many were kept, and Wilson's interval of that
//   cost             of a drafted token
//   look, length     of a round: the verifier's look at its draft, and the tokens drafted
//   extra            tokens that a round writes besides those kept
//   speed            tokens written per call: the speed-up over plain decoding, of models alone
/**
 * @param {RoundData[]} rounds
 * @param {number} call
 */
export function agreement(rounds, call) {
  const some = rounds.slice(1);
  const length = mean(some, (round) => round.drafted.length);
  if (!length) return null;
  const kept = mean(some, (round) => round.kept);
  const cost = mean(some, (round) => round.draft_seconds) / call / length;
  const look = mean(some, (round) => round.verify_seconds) / call;
  const written = mean(some, (round) => round.emitted.length);
  const drafted = Math.round(length * some.length);
  return {
    ...{ share: kept / length, interval: wilson(Math.round(kept * some.length), drafted), drafted },
    ...{ cost, look, length, extra: written - kept, speed: written / (look + cost * length) },
  };
}

// The share that a drafter at another cost must have kept to be as fast, its drafts as long.
/**
 * @param {{ speed: number, look: number, length: number, extra: number }} known
 * @param {number} cost
 */
export const equal = ({ speed, look, length, extra }, cost) => (speed * (look + cost * length) - extra) / length;
