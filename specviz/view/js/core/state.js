// What the page shows right now.
//   run      the run on display (see store.js), or null
//   source   recorded | live | imported       where it came from
//   time     playhead, seconds of compute; Infinity is the end
//   form     the settings: pair is the name of the models that run next, see compare/models.js; system the system
//             message of a chat, null for what its template says by itself; drafter, {name, knobs}, is that of every
//             column without one of its own
//   columns  the lanes as configured: {rule, knobs, drafter?, from}; `drafter`: its own; `from`: index of the run's lane
//             it shows, or null
//   costs    what a verifier call costs, see costs.js; null: as the run on display took its time
//   picked   {lane, key} of the selected token, or null; `asked`: whether a person picked it, or the page did
// Events: run (another is on display), append (it has grown), time, pick, columns, whatif (a knob, of the column of
// that
// index), settings and form (changed by hand, or by the page), theme, ended (a run that streamed), rest (the playhead
// was
// let go). Who changes what they speak of emits them.
import * as continued from "specviz/core/continued.js";
import * as drafters from "specviz/core/drafters.js";
import { emit, on } from "specviz/core/events.js";
import * as store from "specviz/core/store.js";

export const MAX_LANES = 4;

/** @type {State} */
export const state = {
  run: null,
  source: null,
  time: Infinity,
  live: false,
  playing: false,
  picked: null,
  asked: false,
  front: 0,
  hideCut: false,
  withPlain: true,
  costs: null,
  raw: null,
  form: {
    prompt: "",
    pair: null,
    style: null,
    system: null,
    temperature: 1,
    top_k: 0,
    top_p: 1,
    draft_length: 4,
    max_new_tokens: 120,
    seed: 0,
    drafter: drafters.parse(),
  },
  columns: [],
};

// The run on display, where there surely is one.
export function onDisplay() {
  if (!state.run) throw new Error("No run is on display.");
  return state.run;
}

// The run's lane a column shows: only while its rule is still the one that ran.
/** @param {Column} column */
export function laneOf(column) {
  const lane = state.run && column.from !== null ? state.run.lanes[column.from] : null;
  return lane && lane.rule === column.rule ? lane : null;
}

// Who drafted what a column shows, or else will draft in it; null in plain decoding.
/**
 * @param {Column} column
 * @returns {Drafter | null}
 */
export function drafterOf(column) {
  if (column.rule === "plain") return null;
  return laneOf(column)?.drafter ?? column.drafter ?? state.form.drafter;
}

// What a column is called beside the others: its rule, or its drafter where that is all they differ in, or both.
/** @param {Column} column */
export function titleOf(column) {
  const drafting = state.columns.filter(({ rule }) => rule !== "plain");
  const own = drafterOf(column);
  const alike = drafting.filter(({ rule }) => rule === column.rule);
  const rivals = own ? drafters.distinct(alike.map((one) => ({ drafter: drafterOf(one) }))) : [];
  if (!own || rivals.length < 2) return column.rule;
  const shared = rivals.filter(({ name }) => name === own.name).length > 1;
  const by = shared ? drafters.label(own).replaceAll(",", "") : own.name;
  return alike.length === drafting.length ? by : `${column.rule} ${by}`;
}

// How many columns before this one have its rule: they are drawn in other ways.
/** @param {number} index */
export const repeats = (index) =>
  state.columns.slice(0, index).filter(({ rule }) => rule === state.columns[index].rule).length;

// The columns that show something, with their lanes.
export function shown() {
  return state.columns.flatMap((column, index) => {
    const lane = laneOf(column);
    return lane ? [{ column, index, lane, title: titleOf(column), nth: repeats(index) }] : [];
  });
}

/**
 * @param {Column} column
 * @param {Lane} lane
 */
export function differs(column, lane) {
  return Object.keys(lane.knobs).some((name) => String(lane.knobs[name]) !== String(column.knobs[name]));
}

// The timeline ends with the last lane that is looked at: heard before anything draws.
function refit() {
  if (state.run)
    state.run.span = Math.max(
      1e-9,
      ...shown().map(({ lane }) => (lane.rounds.length ? lane.rounds[lane.rounds.length - 1].to : 0)),
    );
}
on("run columns append", refit);

// Puts a run on display, and its settings into the form. `raw` is the trace as Python wrote it: it is what gets
// saved, because numbers that have been through a browser (1.0 becomes 1) no longer match the trace's digest.
// `columns`: which lanes to show; without it all of them, plain decoding only when there is room.
/**
 * @param {TraceData} trace
 * @param {State["source"]} source
 * @param {string | null} raw
 * @param {Column[]} [columns]
 */
export function show(trace, source, raw, columns) {
  const run = store.open(trace);
  const { form } = state;
  Object.assign(form, {
    prompt: trace.prompt,
    style: trace.style,
    system: trace.system ?? null,
    seed: trace.seed,
    max_new_tokens: trace.max_new_tokens + continued.given(trace).length,
  });
  Object.assign(form, trace.sampling);
  const first = trace.lanes.find((lane) => lane.rule) || trace.lanes[0];
  if (first) form.draft_length = first.draft_length;
  state.run = run;
  state.source = source;
  state.raw = raw || null;
  const drafting = run.lanes.filter((lane) => lane.rule !== "plain").length;
  const seen = run.lanes.filter((lane) => drafting < 2 || lane.rule !== "plain").slice(0, 4);
  state.columns = columns || seen.map((lane) => ({ rule: lane.rule, knobs: { ...lane.knobs }, from: lane.index }));
  suit();
  state.front = Math.min(state.front, state.columns.length - 1);
  state.picked = null;
  emit("run");
}

// The form takes the drafter of the first lane on display whose column has none of its own, and a column whose lane had
// another gets that as its own.
function suit() {
  const own = shown().filter(({ column, lane }) => !column.drafter && lane.drafter);
  if (own.length) state.form.drafter = drafters.copy(/** @type {Drafter} */ (own[0].lane.drafter));
  own.forEach(({ column, lane }) => {
    column.drafter = ownOf(lane);
  });
}

// The drafter of a lane where it is not the form's; else null.
/** @param {Pick<Lane, "drafter">} lane */
export function ownOf({ drafter }) {
  return drafter && !drafters.same(drafter, state.form.drafter) ? drafters.copy(drafter) : null;
}

/** @param {number} time */
export function setTime(time) {
  state.time = time;
  emit("time");
}

// Rounds of a lane that are over at the playhead.
/** @param {Lane} lane */
export function done(lane) {
  return state.live || state.time >= (state.run?.span ?? 0) ? lane.rounds.length : store.at(lane, state.time).done;
}

// `asked`: a person did, not the page for them.
/**
 * @param {number | null} lane null: no token is selected from now on
 * @param {number} key
 */
export function pick(lane, key = -1, asked = true) {
  state.asked = asked;
  state.picked = lane === null ? null : { lane, key };
  emit("pick");
}

export function pickedToken() {
  return state.picked && state.run ? state.run.lanes[state.picked.lane]?.tokens[state.picked.key] || null : null;
}

// The kind of a measured number, given where the run came from.
export const measured = () => (state.source === "live" ? "measured" : "recorded");
