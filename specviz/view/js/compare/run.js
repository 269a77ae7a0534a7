// A run of models: starts and stops it, and takes in what streams back.
// A message may be lost on the way (the page keeps only the newest value), so every message repeats the last
// few deltas and the end brings the whole trace: deltas are taken once, in order, and a gap is healed at the end.
import { emit } from "specviz/core/events.js";
import * as live from "specviz/core/live.js";
import { onDisplay, pick, setTime, show, shown, state } from "specviz/core/state.js";
import * as store from "specviz/core/store.js";
import * as models from "specviz/compare/models.js";
import * as notices from "specviz/compare/notices.js";

/**
 * What streams in: the rounds of lanes, and what is new of the models' vocabulary.
 * @typedef {{
 *   seq: number, rounds: [lane: number, round: RoundData][], pieces: TraceData["pieces"], special: number[],
 *   finished: Record<string, LaneData["finished"]>,
 * }} Delta
 * @typedef {Pick<State, "run" | "source" | "raw" | "time" | "picked">} Before
 * @typedef {{ id: string, seq: number, begun: boolean, gap: boolean, stopped: boolean, before?: Before }} Current
 * @typedef {{
 *   kind: string, message: string, field: string, trace?: TraceData, deltas?: Delta[], final?: string,
 *   finished: LaneData["finished"][],
 * }} Message
 */

/** @type {Current | null} */
let current = null;
let giveUp = 0;
/** @type {Delta[]} */
let queue = []; // deltas that have come in and are not drawn yet
let ticket = 0;
let rest = 0;
/** @type {Column[]} */
let asked = []; // the columns the run was started with
/** @type {() => object} */
let form = () => ({}); // gives the settings as they stand in the form

/**
 * @param {boolean} going
 * @param {string} words
 */
function running(going, words) {
  emit("running", going);
  notices.notice(words);
}

// Starts a run with these settings; `typed` gives those of the form.
/**
 * @param {object} settings
 * @param {() => object} typed
 */
export function start(settings, typed) {
  if (!live.wire()) return notices.error("prompt", "The page is still connecting. Try again in a moment.");
  if (current) return;
  notices.clearErrors();
  form = typed;
  asked = state.columns.map((column) => ({ ...column, knobs: { ...column.knobs } }));
  state.live = true;
  running(true, "Starting…");
  const id = live.begin("run", { settings: JSON.stringify(settings) }, receive);
  current = { id, seq: 0, begun: false, gap: false, stopped: false };
}

export function stop() {
  if (!current || current.stopped) return;
  current.stopped = true;
  live.stop(current.id);
  notices.notice("Stopping…");
  const { id } = current;
  giveUp = setTimeout(() => {
    if (current?.id === id) finish("Stopped.");
  }, 4000);
}

function finish(words = "") {
  flush(); // nothing that came in is drawn later, into another run
  clearTimeout(giveUp);
  if (current) live.forget(current.id);
  current = null;
  state.live = false;
  running(false, words);
  emit("time");
  emit("ended");
}

/** @param {Message} message */
function receive(message) {
  if (!current) return;
  if (message.kind === "wait") return current.begun ? undefined : notices.notice(message.message);
  if (message.kind === "error") {
    const { begun, before } = current;
    finish();
    if (begun && message.final) {
      /** @type {TraceData} */
      const { lanes } = JSON.parse(message.final);
      if (lanes.some((lane) => lane.rounds.length)) adopt(message.final);
      else if (before) giveBack(before);
    }
    if (message.field === "pair") models.failed(message.message);
    else notices.error(message.field, message.message);
    return;
  }
  if (message.trace && !current.begun) begin(current, message.trace);
  if (message.deltas && current.begun) take(current, message.deltas);
  if (message.kind === "end") {
    const { stopped, gap, begun } = current;
    flush();
    if (begun) message.finished.forEach((reason, lane) => ended(onDisplay(), lane, reason));
    if (gap || !begun) adopt(message.final ?? "");
    else state.raw = message.final ?? null;
    finish(message.message || (stopped ? "Stopped." : ""));
  }
}

/**
 * @param {Run} run
 * @param {number} lane
 * @param {LaneData["finished"]} reason
 */
function ended({ lanes, trace }, lane, reason) {
  lanes[lane].finished = trace.lanes[lane].finished = reason;
}

/**
 * @param {Current} current
 * @param {TraceData} header
 */
function begin(current, header) {
  current.begun = true;
  current.before = { run: state.run, source: state.source, raw: state.raw, time: state.time, picked: state.picked };
  queue = [];
  const lanes = header.lanes.map((lane) => ({ ...lane, rounds: [] }));
  state.playing = false;
  state.time = Infinity;
  show(
    { ...header, lanes, pieces: { ...header.pieces }, special: [...(header.special || [])] },
    "live",
    null,
    asked.map((column, i) => ({ ...column, from: i })),
  );
  running(true, "");
}

// A run that wrote nothing leaves the one before it on display, and the settings as they were asked for.
/** @param {Before} before */
function giveBack({ run, source, raw, time, picked }) {
  if (!run) return;
  const { lanes, ...settings } = /** @type {{ lanes?: unknown }} */ (form());
  show(run.trace, source, raw, asked);
  Object.assign(state.form, settings);
  emit("form");
  setTime(time);
  if (picked) pick(picked.lane, picked.key, false);
}

/**
 * @param {Current} current
 * @param {Delta[]} deltas
 */
function take(current, deltas) {
  for (const delta of deltas) {
    if (delta.seq <= current.seq) continue;
    if (delta.seq > current.seq + 1) current.gap = true;
    current.seq = delta.seq;
    if (!current.gap) queue.push(delta); // behind a gap rounds cannot be placed; the end brings them all
  }
  if (queue.length && !ticket)
    ticket = setTimeout(() => requestAnimationFrame(flush), Math.max(0, rest - performance.now()));
}

// Draws what has come in, in one frame; a long text costs more to lay out, so the next frame waits three times that.
function flush() {
  clearTimeout(ticket);
  ticket = 0;
  if (!queue.length) return;
  const began = performance.now();
  /** @type {[number, Round][]} */
  const fresh = [];
  const run = onDisplay();
  for (const delta of queue.splice(0)) {
    Object.assign(run.trace.pieces, delta.pieces);
    delta.special.forEach((id) => run.special.add(id));
    Object.entries(delta.finished).forEach(([lane, reason]) => ended(run, Number(lane), reason));
    delta.rounds.forEach(([lane, round]) => fresh.push([lane, store.append(run, lane, round)]));
  }
  emit("append", fresh);
  if (!state.picked) notable(fresh);
  rest = performance.now() + 3 * (performance.now() - began);
}

// The first token kept by leniency fills the inspector, unless something was picked.
/** @param {[number, Round][]} fresh */
function notable(fresh) {
  const found = fresh
    .flatMap(([, round]) => round.tokens)
    .find((token) => token.fate === "relaxed" && shown().some(({ lane }) => lane.index === token.lane));
  if (found) pick(found.lane, found.key, false);
}

/** @param {string} text */
function adopt(text) {
  show(
    JSON.parse(text),
    "live",
    text,
    asked.map((column, i) => ({ ...column, from: i })),
  );
  state.time = Infinity;
  emit("time");
}
