// A lane under knobs that it did not run with: every judged token again, with its own draw. One computation for all that
// show it. Pure: no page.
//   rejudged(run, lane, knobs)  null where the knobs are as they ran; else
//     {possible, changed, first, flips, at(rounds)}
//        changed, first  see rules.whatIf; flips: how many tokens are kept instead of refused, or refused instead of kept
//        at(rounds)      figures of the lane's first rounds, or null where they are not decided; see `figures`
import * as store from "specviz/core/store.js";
import * as laws from "specviz/laws/laws.js";
import * as rules from "specviz/laws/rules.js";
import { twins } from "specviz/laws/twins.js";

/** @typedef {Map<number, { fate: Fate }>} Fates */
/** @typedef {{ drafted: number, kept: number, relaxed: number, emitted: number, open: boolean }} Count */
/** @typedef {{ key: number, was: number, now: number | null, klWas: number, kl: number | null }} Place */

const WHOLE = 1 - 3e-5; // figures of five digits that add up to this are a whole distribution
/** @type {WeakMap<Lane, { stamp: string, answer: ReturnType<typeof judgedAgain> }>} */
const made = new WeakMap(); // lane -> the last answer for it

// How far a round's draft would be kept. `open`: it would go on to tokens that were never judged, so this is the least.
/**
 * @param {Round} round
 * @param {Fates} fates
 * @returns {Count | null}
 */
function recount(round, fates) {
  const { parents, rows } = round.shape;
  const count = { drafted: parents.length, kept: 0, relaxed: 0, emitted: 0, open: false };
  let end = -1;
  for (let slot = 0; slot < parents.length && !count.open; slot += 1) {
    if (parents[slot] !== end) continue;
    const now = fates.get(round.tokens[slot].key);
    if (!rows.has(slot)) count.open = true;
    else if (!now) return null;
    else if (now.fate !== "rejected") {
      end = slot;
      count.kept += 1;
      count.relaxed += now.fate === "relaxed" ? 1 : 0;
    }
  }
  const same = count.kept === round.given.kept && !count.open;
  count.emitted = count.kept + (same && !round.given.origin ? 0 : 1);
  return count;
}

// KL(output law || verifier) at a judged token, where the trace holds both distributions whole; null where not.
/**
 * @param {Lane} lane
 * @param {SliceData | undefined} slice
 * @param {Knobs} knobs
 */
function divergence(lane, slice, knobs) {
  if (!slice || !twins[lane.rule]?.law) return null;
  if ([slice.verifier, slice.draft].some((probs) => laws.sum(probs) < WHOLE)) return null;
  const [verifier, draft] = [slice.verifier, slice.draft].map(laws.normalised);
  return laws.judge(lane.rule, verifier, draft, knobs).kl;
}

// What the rounds say token by token: chances of the recorded positions then and now, and divergences.
/**
 * @param {Run} run
 * @param {Lane} lane
 * @param {Knobs} knobs
 * @returns {Place[][]}
 */
function positions(run, lane, knobs) {
  return lane.rounds.map((round) =>
    round.tokens
      .filter((token) => token.judged >= 0 && token.fate !== "discarded")
      .map((token) => {
        const facts = /** @type {Facts} */ (store.detail(run, token).facts);
        const slice = round.given.slices?.[token.judged];
        return {
          key: token.key,
          was: token.accept,
          now: rules.accept(lane.rule, facts, knobs),
          klWas: facts.klOutput,
          kl: divergence(lane, slice, knobs),
        };
      }),
  );
}

/** @param {number[]} values */
const mean = (values) => (values.length ? laws.sum(values) / values.length : null);
/**
 * @param {number} top
 * @param {number} bottom
 */
const share = (top, bottom) => (bottom ? top / bottom : null);

// Figures of the first rounds, by the names of specviz.metrics, each {value, least}: `least` where a draft would have gone
// on to tokens that were never judged. `counts` {rounds, drafted, emitted}; `expected` the mean chance of being kept,
// {was, now} or null; `whole` how many judged positions the trace holds whole, with the mean divergence there,
// {count, of, was, now}.
/**
 * @param {Count[]} counts
 * @param {Place[]} judged
 * @param {Fates} fates
 */
function figures(counts, judged, fates) {
  const [drafted, kept, emitted, relaxed] = /** @type {const} */ (["drafted", "kept", "emitted", "relaxed"]).map(
    (name) => laws.sum(counts.map((count) => count[name])),
  );
  const least = counts.some((count) => count.open);
  const known = judged.filter((one) => one.kl !== null);
  const now = judged.map((one) => one.now);
  const whole = {
    count: known.length,
    of: judged.length,
    was: mean(known.map((one) => one.klWas)),
    now: mean(known.map((one) => one.kl ?? 0)),
  };
  const passed = judged.filter(({ key }) => fates.get(key)?.fate !== "rejected").length;
  return {
    counts: { rounds: counts.length, drafted, emitted },
    expected: now.includes(null) ? null : { was: mean(judged.map((one) => one.was)), now: mean(now.map(Number)) },
    whole,
    accepted_per_round: { value: share(kept, counts.length), least },
    emitted_per_round: { value: share(emitted, counts.length), least },
    acceptance_rate: { value: share(passed, judged.length), least: false },
    relaxed_share: { value: share(relaxed, emitted), least: false },
    mean_kl: { value: whole.count === whole.of ? whole.now : null, least: false },
  };
}

/**
 * @param {Run} run
 * @param {Lane} lane
 * @param {Knobs} knobs
 */
function judgedAgain(run, lane, knobs) {
  const possible = rules.canRejudge(lane, knobs);
  if (!possible) return { possible, changed: /** @type {Fates} */ (new Map()), first: null, flips: 0, at: () => null };
  const { changed, first } = /** @type {{ changed: Fates, first: number | null }} */ (rules.whatIf(run, lane, knobs));
  const flips = [...changed].filter(
    ([key, { fate }]) => (fate === "rejected") !== (lane.tokens[key].fate === "rejected"),
  ).length;
  const counts = lane.rounds.map((round) => (lane.scope === "token" ? recount(round, changed) : null));
  /** @type {Place[][] | null} */
  let places = null;
  /** @param {number} rounds */
  const at = (rounds) => {
    const some = counts.slice(0, rounds).filter((count) => count !== null);
    if (some.length < Math.min(rounds, counts.length)) return null;
    places = places || positions(run, lane, knobs);
    return figures(some, places.slice(0, rounds).flat(), changed);
  };
  return { possible, changed, first, flips, at };
}

/**
 * @param {Run} run
 * @param {Lane} lane
 * @param {Knobs} knobs
 */
export function rejudged(run, lane, knobs) {
  if (!rules.turned(lane, knobs).length) return null;
  const stamp = `${lane.tokens.length} ${JSON.stringify(knobs)}`;
  const last = made.get(lane);
  if (last?.stamp === stamp) return last.answer;
  const answer = judgedAgain(run, lane, knobs);
  made.set(lane, { stamp, answer });
  return answer;
}
