// Everything a view needs, derived from a Trace and nothing else. Pure: no page, no clock, no network.
//   run    {trace, lanes, span, special}
//          span: compute seconds until the last lane on display ended; special: ids that are no text
//   lane   {index, rule, name, label, knobs, drafter, lossless, rounds, tokens, sums, finished}
//   round  {index, from, drafted, to, first, tokens, mended, start, shape}
//           three instants on the lane's own clock; mended: tokens of earlier rounds whose `shown` it has changed, when
//          it
//          brought the rest of a character
//   token  {key, lane, round, slot, id, text, shown, special, code, fate, position, cut, judged, uniform, accept,
//          strict, draft, verifier}
//          text: what the token looks like alone; shown: what it adds to the lane's text; special: it is no text; code:
//           it stands between lines of ```; slot: the token's number in its draft; judged: its row in the columns of
//          what
//          was judged, -1 without one
//          fate: accepted | relaxed | rejected | discarded | resampled | bonus | plain
import * as drafters from "specviz/core/drafters.js";
import { finite, label } from "specviz/core/formats.js";
import { reader } from "specviz/core/pieces.js";

/** @type {Record<string, Fate>} */
const ADDED = { resampled: "resampled", bonus: "bonus" };

/** @param {string | null} spec */
export function ruleKey(spec) {
  return spec ? String(spec).split(":")[0] : "plain";
}

/**
 * @param {TraceData} trace
 * @returns {Run}
 */
export function open(trace) {
  // Span is up to whoever decides which lanes are on display.
  /** @type {Run} */
  const run = { trace, lanes: [], span: 0, special: new Set(trace.special) };
  trace.lanes.forEach((given, index) => {
    const knobs = given.knobs || {};
    /** @type {Lane} */
    const lane = {
      index,
      given,
      knobs,
      rule: ruleKey(given.rule),
      name: given.name || ruleKey(given.rule),
      label: label(given.name || ruleKey(given.rule), knobs),
      lossless: given.lossless,
      scope: given.scope,
      drafter: given.rule ? drafters.parse(given.drafter) : null, // plain decoding has none
      rounds: [],
      tokens: [],
      sums: [zero()],
      finished: null,
      reading: reader(),
    };
    run.lanes.push(lane);
    given.rounds.forEach((round) => append(run, index, round, true));
    lane.finished = given.finished ?? null;
  });
  if (drafters.distinct(run.lanes).length > 1)
    run.lanes.forEach((lane) => {
      if (lane.drafter) lane.label += ` by ${lane.drafter.name}`;
    });
  return run;
}

/** @returns {Sums} */
function zero() {
  return {
    rounds: 0,
    drafted: 0,
    judged: 0,
    kept: 0,
    relaxed: 0,
    emitted: 0,
    kl: 0,
    klCount: 0,
    target: 0,
    targetCount: 0,
    seconds: 0,
    drafting: 0, // seconds of the drafter, of the verifier
    verifying: 0,
    emitted2: 0, // over rounds: squares and products of tokens written and seconds taken
    paced: 0,
    seconds2: 0,
  };
}

// What follows what in a draft, see specviz/record/round.py; a trace leaves out what is so in every chain.
// parents, depths: of each drafted token; path: the kept ones; rows: the judged ones, each with its row in the columns;
// tree: several were offered for one place
/**
 * @param {RoundData} round
 * @returns {Shape}
 */
function shapeOf({ drafted, kept, parents, path, node, judged }) {
  const before = parents ?? drafted.map((_, slot) => slot - 1);
  /** @type {number[]} */
  const depths = [];
  before.forEach((parent, slot) => {
    depths[slot] = parent < 0 ? 0 : depths[parent] + 1;
  });
  const nodes = node ?? (judged.uniform || []).map((_, slot) => slot);
  return {
    parents: before,
    depths,
    path: path ?? drafted.map((_, slot) => slot).slice(0, kept),
    depth: Math.max(0, ...depths.map((depth) => depth + 1)),
    rows: new Map(nodes.map((slot, row) => [slot, row])),
    tree: before.some((parent, slot) => parent !== slot - 1),
  };
}

/**
 * @param {Lane} lane
 * @param {RoundData} round
 * @param {Shape} shape
 * @returns {Fate[]}
 */
function fatesOf(lane, round, { parents, path, rows }) {
  const kept = new Set(path);
  const { uniform, strict_accept_prob: strict } = round.judged;
  return parents.map((parent, slot) => {
    const row = rows.get(slot) ?? -1;
    if (kept.has(slot)) return !lane.lossless && Number(uniform[row]) >= Number(strict[row]) ? "relaxed" : "accepted";
    return row >= 0 && (parent < 0 || kept.has(parent)) ? "rejected" : "discarded";
  });
}

// Adds one round; `silent` when the trace already holds it. Returns the round's view.
/**
 * @param {Run} run
 * @param {number} laneIndex
 * @param {RoundData} round
 * @param {boolean} silent
 */
export function append(run, laneIndex, round, silent = false) {
  const lane = run.lanes[laneIndex];
  if (!silent) lane.given.rounds.push(round);
  const { judged } = round;
  const shape = shapeOf(round);
  const fates = fatesOf(lane, round, shape);
  const looked = shape.rows.size;
  const from = round.clock - round.seconds;
  /** @type {Round} */
  const view = {
    index: lane.rounds.length,
    given: round,
    start: round.start,
    from,
    to: round.clock,
    drafted: Math.min(round.clock, from + (round.draft_seconds || 0)),
    first: lane.tokens.length,
    tokens: [],
    mended: [],
    shape,
  };
  const sum = { ...lane.sums[lane.sums.length - 1] };
  /** @param {Partial<Token> & { id: number }} known */
  const add = (known) => {
    const token = /** @type {Token} */ (known);
    token.key = lane.tokens.length;
    token.lane = laneIndex;
    token.round = view.index;
    token.text = run.trace.pieces[token.id] ?? "";
    token.special = run.special.has(token.id);
    view.mended.push(...lane.reading(token));
    lane.tokens.push(token);
    view.tokens.push(token);
  };
  round.drafted.forEach((id, slot) => {
    const fate = fates[slot];
    const row = shape.rows.get(slot) ?? -1;
    const cut = fate === "rejected" || fate === "discarded";
    const token = { id, slot, fate, position: round.start + shape.depths[slot], cut, judged: row };
    if (row >= 0) {
      Object.assign(token, {
        uniform: judged.uniform[row],
        accept: finite(judged.accept_prob[row]),
        strict: finite(judged.strict_accept_prob[row]),
        draft: judged.draft_prob[row],
        verifier: judged.verifier_prob[row],
      });
    }
    add(token);
    sum.relaxed += fate === "relaxed" ? 1 : 0;
  });
  sum.kept += shape.path.length;
  sum.judged += looked;
  for (let slot = 0; slot < looked; slot += 1) {
    const kl = finite((judged.kl_output_verifier || [])[slot]);
    if (typeof kl === "number") {
      sum.kl += kl;
      sum.klCount += 1;
    }
    const target = finite((judged.kl_target_verifier || [])[slot]);
    if (typeof target === "number") {
      sum.target += target;
      sum.targetCount += 1;
    }
  }
  if (round.origin) {
    const id = round.emitted[round.emitted.length - 1];
    const fate = lane.rule === "plain" ? "plain" : ADDED[round.origin] || "resampled";
    add({ id, slot: round.drafted.length, fate, position: round.start + round.kept, cut: false, judged: -1 });
  }
  sum.rounds += 1;
  sum.drafted += round.drafted.length;
  sum.emitted += round.emitted.length;
  const took = round.clock - sum.seconds;
  sum.emitted2 += round.emitted.length ** 2;
  sum.paced += round.emitted.length * took;
  sum.seconds2 += took ** 2;
  sum.seconds = round.clock;
  sum.drafting += round.draft_seconds || 0;
  sum.verifying += round.verify_seconds || 0;
  lane.sums.push(sum);
  lane.rounds.push(view);
  return view;
}

// Whole rounds of a lane that are over at `time`, and what the next one is doing.
/**
 * @param {Lane} lane
 * @param {number} time
 */
export function at(lane, time) {
  let low = 0;
  let high = lane.rounds.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (lane.rounds[middle].to <= time + 1e-12) low = middle + 1;
    else high = middle;
  }
  const next = lane.rounds[low];
  if (!next || next.from > time) return { done: low, pending: 0, phase: next ? "waiting" : "done" };
  const drafting = Math.max(1e-12, next.drafted - next.from);
  const share = Math.min(1, (time - next.from) / drafting);
  const count = next.given.drafted.length;
  const pending = Math.min(count, Math.floor(share * count + 1e-9));
  return { done: low, pending, phase: time < next.drafted ? "drafting" : "checking" };
}

// The places of a round that the text went through: the candidates for each, by slot, and the token that was written there.
/** @param {Round} view */
export function places({ shape, tokens }) {
  const { parents, path } = shape;
  const slots = [...parents.keys()];
  return [-1, ...path].map((parent, place) => ({
    slots: slots.filter((slot) => parents[slot] === parent),
    written: tokens.find((token) => !token.cut && token.slot === (path[place] ?? parents.length)) ?? null,
  }));
}

// Why a drafted token was never judged, in a sentence.
/**
 * @param {Round} view
 * @param {Token} token
 */
export function unread({ shape }, token) {
  const parent = shape.parents[token.slot];
  if (shape.tree && (parent < 0 || shape.path.includes(parent)))
    return "Another candidate for its place was kept first.";
  return shape.tree
    ? "It was drafted behind a candidate that was not kept."
    : "It was drafted behind a token that was refused.";
}

// The token of another lane that was finally written at an absolute position.
/**
 * @param {Lane} lane
 * @param {number} position
 */
export function writtenAt(lane, position) {
  for (let i = lane.tokens.length - 1; i >= 0; i -= 1) {
    const token = lane.tokens[i];
    if (!token.cut && token.position === position) return token;
  }
  return null;
}

/** @param {Lane} lane */
export function text(lane, rounds = Infinity) {
  return lane.tokens
    .filter((token) => !token.cut && token.round < rounds)
    .map((token) => token.shown)
    .join("");
}

// The row of the last candidate that was refused where the kept path ends; undefined if there was none.
/** @param {Shape} shape */
function refusedRow({ parents, path, rows }) {
  const end = path.length ? path[path.length - 1] : -1;
  return [...rows]
    .filter(([slot]) => parents[slot] === end)
    .map(([, row]) => row)
    .pop();
}

// Everything known about a judged token, for the inspector.
/**
 * @param {Run} run
 * @param {Token} token
 * @returns {{ lane: Lane; round: RoundData; slice: SliceData | null; facts?: Facts }}
 */
export function detail(run, token) {
  const lane = run.lanes[token.lane];
  const { given: round, shape } = lane.rounds[token.round];
  /** @type {(name: string, slot: number) => any} */
  const of = (name, slot) => finite((round.judged[name] || [])[slot]);
  const slot = token.judged;
  // An extra token has none: nothing was judged there.
  if (slot < 0) return { lane, round, slice: (round.slices || [])[refusedRow(shape) ?? -1] || null };
  return {
    lane,
    round,
    slice: (round.slices || [])[slot] || null,
    facts: {
      draft: token.draft,
      verifier: token.verifier,
      uniform: token.uniform,
      accept: token.accept,
      strict: token.strict,
      entropy: of("verifier_entropy", slot),
      draftEntropy: of("draft_entropy", slot),
      rank: of("verifier_rank", slot),
      tv: of("tv", slot),
      js: of("js", slot),
      draftMax: of("draft_max", slot),
      verifierMax: of("verifier_max", slot),
      flip: of("flip", slot),
      klTarget: of("kl_target_verifier", slot),
      klOutput: of("kl_output_verifier", slot),
      klDraft: of("kl_draft_verifier", slot),
    },
  };
}

// Tokens worth a look: those the budget kept, or else those that were refused.
/**
 * @param {Lane} lane
 * @returns {[string, Token[]]}
 */
export function worth(lane) {
  const relaxed = lane.tokens.filter((token) => token.fate === "relaxed");
  return relaxed.length ? ["relaxed", relaxed] : ["refused", lane.tokens.filter((token) => token.fate === "rejected")];
}
