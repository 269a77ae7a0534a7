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

const WHOLE = 1 - 3e-5; // figures of five digits that add up to this are a whole distribution
const made = new WeakMap(); // lane -> the last answer for it

// How far a round's draft would be kept. `open`: it would go on to tokens that were never judged, so this is the least.
function recount(lane, round, kept) {
  const { parents, rows } = round.shape;
  const count = { drafted: parents.length, kept: 0, relaxed: 0, open: false };
  let end = -1;
  for (let slot = 0; slot < parents.length && !count.open; slot += 1) {
    if (parents[slot] !== end) continue;
    const token = round.tokens[slot];
    const now = kept.get(token.key);
    if (!rows.has(slot)) count.open = true;
    else if (!now) return null;
    else if (now.fate !== "rejected") {
      end = slot;
      count.kept += 1;
      count.relaxed += now.fate === "relaxed" ? 1 : 0;
    }
  }
  const as = count.kept === round.given.kept && !count.open;
  count.emitted = count.kept + (as && !round.given.origin ? 0 : 1);
  return count;
}

// KL(output law || verifier) at a judged token, where the trace holds both distributions whole; null where not.
function divergence(lane, round, row, knobs) {
  const slice = round.given.slices?.[row];
  if (!slice || !twins[lane.rule]?.law) return null;
  if ([slice.verifier, slice.draft].some((probs) => laws.sum(probs) < WHOLE)) return null;
  const [verifier, draft] = [slice.verifier, slice.draft].map(laws.normalised);
  return laws.judge(lane.rule, verifier, draft, knobs).kl;
}

// What the rounds say token by token: chances of the recorded positions then and now, and divergences.
function positions(run, lane, knobs) {
  return lane.rounds.map((round) =>
    round.tokens
      .filter((token) => token.judged >= 0 && token.fate !== "discarded")
      .map((token) => {
        const { facts } = store.detail(run, token);
        return {
          key: token.key,
          was: token.accept,
          now: rules.accept(lane.rule, facts, knobs),
          klWas: facts.klOutput,
          kl: divergence(lane, round, token.judged, knobs),
        };
      }),
  );
}

const mean = (values) => (values.length ? laws.sum(values) / values.length : null);

// Figures of the first rounds, by the names of specviz.metrics, each {value, least?}: `least` where a draft would have gone
// on to tokens that were never judged. `counts` {rounds, drafted, emitted}; `expected` the mean chance of being kept, {was, now}
// or null; `whole` how many judged positions the trace holds whole, with the mean divergence there, {count, of, was, now}.
function figures(counts, places, changed) {
  const total = (name) => counts.reduce((all, count) => all + count[name], 0);
  const least = counts.some((count) => count.open);
  const judged = places.flat();
  const kept = judged.filter(({ key }) => changed.get(key)?.fate !== "rejected").length;
  const known = judged.filter((one) => one.kl !== null);
  const whole = {
    count: known.length,
    of: judged.length,
    was: mean(known.map((one) => one.klWas)),
    now: mean(known.map((one) => one.kl)),
  };
  const share = (top, bottom) => (bottom ? top / bottom : null);
  return {
    counts: { rounds: counts.length, drafted: total("drafted"), emitted: total("emitted") },
    expected: judged.every((one) => one.now !== null)
      ? { was: mean(judged.map((one) => one.was)), now: mean(judged.map((one) => one.now)) }
      : null,
    whole,
    accepted_per_round: { value: share(total("kept"), counts.length), least },
    emitted_per_round: { value: share(total("emitted"), counts.length), least },
    acceptance_rate: { value: share(kept, judged.length) },
    relaxed_share: { value: share(total("relaxed"), total("emitted")) },
    mean_kl: { value: whole.count === whole.of ? whole.now : null },
  };
}

function judgedAgain(run, lane, knobs) {
  const possible = rules.canRejudge(lane, knobs);
  if (!possible) return { possible, changed: new Map(), first: null, flips: 0, at: () => null };
  const { changed, first } = rules.whatIf(run, lane, knobs);
  const flips = [...changed].filter(
    ([key, now]) => (now.fate === "rejected") !== (lane.tokens[key].fate === "rejected"),
  );
  const counts = lane.scope === "token" ? lane.rounds.map((round) => recount(lane, round, changed)) : [null];
  let places = null;
  const at = (rounds) => {
    if (counts.slice(0, rounds).includes(null)) return null;
    places = places || positions(run, lane, knobs);
    return figures(counts.slice(0, rounds), places.slice(0, rounds), changed);
  };
  return { possible, changed, first, flips: flips.length, at };
}

export function rejudged(run, lane, knobs) {
  if (!rules.turned(lane, knobs).length) return null;
  const stamp = `${lane.tokens.length} ${JSON.stringify(knobs)}`;
  const last = made.get(lane);
  if (last?.stamp === stamp) return last.answer;
  const answer = judgedAgain(run, lane, knobs);
  made.set(lane, { stamp, answer });
  return answer;
}
