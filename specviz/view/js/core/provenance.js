// Where a drafted token came from, as far as its drafter said: see specviz/record/trace.py. Pure.
//   by       the drafter that proposed it, where one stands for several
//   layer    the verifier's layer behind which it was proposed
//   sample   number of the sample of the same prompt that it is a copy of, from 0 on
//   ahead    number of the verifier's look-ahead token that it was proposed behind, from 1 on
//   matched  length of the run of tokens that was looked up
//   place    index in the text (prompt, then written tokens) of the token it is a copy of
//   first, last  the whole span that the draft copied there, both included; matched tokens stand before it
//   begin    position of the first token of the draft that is a copy of this span
import { joined } from "specviz/core/pieces.js";

const AROUND = 7; // tokens of a passage on either side

/**
 * @param {RoundData} round
 * @param {keyof ProvenanceData} name
 * @param {number} slot
 */
const at = ({ provenance }, name, slot) => provenance?.[name]?.[slot] ?? null;

// null where nothing is known of the token.
/**
 * @param {Run} run
 * @param {Token} token
 * @returns {Provenance | null}
 */
export function of(run, token) {
  const { given, shape } = run.lanes[token.lane].rounds[token.round];
  const { slot } = token;
  /** @param {number} one */
  const from = (one) => /** @type {number | null} */ (at(given, "copied_from", one));
  const place = from(slot);
  const known = /** @type {Provenance} */ ({
    ...{ by: at(given, "by", slot), layer: at(given, "layer", slot), matched: at(given, "matched", slot) },
    ...{
      sample: at(given, "sample", slot),
      ahead: at(given, "ahead", slot),
      place,
      first: place,
      last: place,
      begin: token.position,
    },
  });
  if ([known.by, known.layer, known.matched, known.sample, known.ahead, place].every((value) => value === null))
    return null;
  if (place === null) return known;
  let first = place;
  for (let one = shape.parents[slot]; one >= 0 && from(one) === first - 1; one = shape.parents[one]) first -= 1;
  let last = place;
  for (let one = slot + 1; shape.parents[one] === one - 1 && from(one) === last + 1; one += 1) last += 1;
  return { ...known, first, last, begin: token.position - (place - first) };
}

// Who proposed a token of a round, in a word; null where only its lane says so.
/**
 * @param {RoundData} round
 * @param {number} slot
 */
export function voice(round, slot) {
  const [layer, ahead] = [at(round, "layer", slot), at(round, "ahead", slot)];
  const sample = /** @type {number | null} */ (at(round, "sample", slot));
  if (sample !== null) return `sample ${sample + 1}`;
  const by = at(round, "by", slot);
  if (by !== null) return by;
  if (ahead !== null) return `${ahead} ahead`;
  return layer === null ? null : `layer ${layer}`;
}

// {name, drafted, judged, kept} of each voice of a lane in its first rounds, in the order in which they first spoke.
/**
 * @param {Lane} lane
 * @param {number} rounds
 */
export function voices(lane, rounds) {
  /** @type {Map<string, { name: string, drafted: number, judged: number, kept: number }>} */
  const all = new Map();
  lane.rounds.slice(0, rounds).forEach((round) => {
    if (!round.given.provenance) return;
    round.tokens.slice(0, round.given.drafted.length).forEach((token) => {
      const name = voice(round.given, token.slot);
      if (name === null) return;
      const sum = all.get(String(name)) ?? { name: String(name), drafted: 0, judged: 0, kept: 0 };
      all.set(sum.name, count(sum, token));
    });
  });
  return [...all.values()];
}

/**
 * @template {{ drafted: number, judged: number, kept: number }} Sum
 * @param {Sum} sum
 * @param {Token} token
 */
function count(sum, token) {
  sum.drafted += 1;
  sum.judged += token.judged >= 0 ? 1 : 0;
  sum.kept += token.cut ? 0 : 1;
  return sum;
}

// {length, drafted, judged, kept} by the length of the run that was looked up, the shortest first.
/**
 * @param {Lane} lane
 * @param {number} rounds
 */
export function byMatch(lane, rounds) {
  /** @type {Map<number, { length: number, drafted: number, judged: number, kept: number }>} */
  const all = new Map();
  lane.rounds.slice(0, rounds).forEach((round) =>
    round.tokens.slice(0, round.given.drafted.length).forEach((token) => {
      const length = /** @type {number | null} */ (at(round.given, "matched", token.slot));
      if (length === null) return;
      all.set(length, count(all.get(length) ?? { length, drafted: 0, judged: 0, kept: 0 }, token));
    }),
  );
  return [...all.values()].sort((one, other) => one.length - other.length);
}

// The text of a lane by index: {text, special, key}; `key` is null for tokens of the prompt.
/**
 * @param {Run} run
 * @param {Lane} lane
 */
function textOf({ trace, special }, lane) {
  const prompt = trace.prompt_tokens.map((id) => ({
    text: trace.pieces[id] ?? "",
    special: special.has(id),
    key: null,
  }));
  return [...prompt, ...lane.tokens.filter((token) => !token.cut)];
}

const tokens = (/** @type {number} */ count) => (count === 1 ? "one token" : `${count} tokens`);

// What is known, in sentences.
/**
 * @param {Run} run
 * @param {Token} token
 * @param {Provenance} known
 */
export function sentence(run, token, { by, layer, ahead, matched, sample, place }) {
  const there = place !== null && place < run.trace.prompt_tokens.length ? "the prompt" : "this text";
  const match = matched === null ? "" : `, after a match of ${tokens(matched)}`;
  return [
    by ? `Proposed by ${by}.` : "",
    layer === null ? "" : `Proposed behind layer ${layer} of the verifier.`,
    ahead === null ? "" : `Proposed by the verifier's look-ahead token ${ahead}, in the forward of the round before.`,
    sample === null ? "" : `Copied from sample ${sample + 1} of the same prompt${match}.`,
    place === null
      ? sample === null && match && `Looked up${match}.`
      : `Copied from ${there}, ${tokens(token.position - place)} back${match}.`,
  ]
    .filter(Boolean)
    .join(" ");
}

// Which written tokens light up, {key, kind}: "lit" is the span that was copied, "sought" the run that was looked up, both
// where it was found and where it was looked for.
/**
 * @param {Run} run
 * @param {Lane} lane
 * @param {Provenance} known
 */
export function marks(run, lane, known) {
  const { first, last, begin, matched } = known;
  return textOf(run, lane).flatMap(({ key }, i) => {
    const lit = i >= first && i <= last;
    const sought = (i >= first - (matched ?? 0) && i < first) || (i >= begin - (matched ?? 0) && i < begin);
    return key !== null && (lit || sought) ? [{ key, kind: lit ? "lit" : "sought" }] : [];
  });
}

// The place that a token was copied from, with what stands around it: [{text, kind}], and whether the text goes on before
// and behind. `kind` as above, "here" for the token itself, "" for the rest.
/**
 * @param {Run} run
 * @param {Lane} lane
 * @param {Provenance} known
 */
export function passage(run, lane, { place, first, last, matched }) {
  const text = textOf(run, lane);
  const from = Math.max(0, first - (matched ?? 0) - AROUND);
  const to = Math.min(text.length, last + 1 + AROUND);
  const some = text.slice(from, to);
  const shown = joined(some);
  const kind = (/** @type {number} */ i) => {
    if (i === place) return "here";
    if (i >= first && i <= last) return "lit";
    return i >= first - (matched ?? 0) && i < first ? "sought" : "";
  };
  return {
    before: from > 0,
    behind: to < text.length,
    parts: some.map(({ text: piece, special }, i) => ({ text: special ? piece : shown[i], kind: kind(from + i) })),
  };
}

// Where in the prompt, as it was typed, its tokens from `first` to before `end` stand: [from, to] in characters; null where
// they are not of it but of what a template puts around it.
/**
 * @param {Run} run
 * @param {number} first
 * @param {number} end
 * @returns {[number, number] | null}
 */
export function inPrompt({ trace, special }, first, end) {
  const shown = joined(trace.prompt_tokens.map((id) => ({ text: trace.pieces[id] ?? "", special: special.has(id) })));
  const typed = trace.prompt.trim();
  const offset = shown.join("").lastIndexOf(typed);
  if (offset < 0 || !typed) return null;
  const length = (/** @type {number} */ count) => shown.slice(0, count).join("").length - offset;
  const [from, to] = [first, end].map((count) => Math.min(typed.length, Math.max(0, length(count))));
  const shift = trace.prompt.indexOf(typed);
  return from < to ? [from + shift, to + shift] : null;
}
