// What the page shows right now, and who wants to hear when it changes.
//   run      the run on display (see store.js), or null
//   source   recorded | live | imported       where it came from
//   time     playhead, seconds of compute; Infinity is the end
//   form     the settings: pair is the name of the models that run next, see models.js; system the system message of a chat,
//            null for what its template says by itself; drafter is {name, knobs}, or null while every column keeps a drafter of its own
//   columns  the lanes as configured: {rule, knobs, drafter?, from}; `from`: index of the run's lane it shows, or null
//   picked   {lane, key} of the selected token, or null
// Events: run, append, time, pick, columns, whatif, theme
(function (root) {
  "use strict";
  const sv = (root.specviz = root.specviz || {});
  const hearers = {};

  const state = {
    run: null, source: null, example: null, time: Infinity, live: false, playing: false, picked: null, front: 0, hideCut: false, withPlain: true, raw: null,
    form: { prompt: "", pair: null, style: null, system: null, temperature: 1, top_k: 0, top_p: 1, draft_length: 4, max_new_tokens: 120, seed: 0, drafter: sv.store.drafter() },
    columns: [],
  };

  function on(name, hear) {
    name.split(" ").forEach((one) => (hearers[one] = hearers[one] || []).push(hear));
  }

  function emit(name, detail) {
    if (name === "run" || name === "columns" || name === "append") refit();
    (hearers[name] || []).forEach((hear) => hear(detail));
  }

  const boot = () => sv.boot || { rules: {}, definitions: {}, prompts: [], pairs: [] };

  function defaults(rule) {
    const knobs = {};
    (boot().rules[rule]?.knobs || []).forEach((knob) => { knobs[knob.name] = knob.default; });
    return knobs;
  }

  // The run's lane a column shows: only while its rule is still the one that ran.
  function laneOf(column) {
    const lane = state.run && column.from !== null ? state.run.lanes[column.from] : null;
    return lane && lane.rule === column.rule ? lane : null;
  }

  // The columns that show something, with their lanes.
  function shown() {
    return state.columns.map((column, index) => ({ column, index, lane: laneOf(column) })).filter((one) => one.lane);
  }

  function differs(column, lane) {
    return Object.keys(lane.knobs).some((name) => String(lane.knobs[name]) !== String(column.knobs[name]));
  }

  // The timeline ends with the last lane that is looked at.
  function refit() {
    if (state.run) state.run.span = Math.max(1e-9, ...shown().map(({ lane }) => (lane.rounds.length ? lane.rounds[lane.rounds.length - 1].to : 0)));
  }

  // Puts a run on display, and its settings into the form. `raw` is the trace as Python wrote it: it is what gets
  // saved, because numbers that have been through a browser (1.0 becomes 1) no longer match the trace's digest.
  // `columns`: which lanes to show; without it all of them, plain decoding only when there is room.
  function show(trace, source, raw, columns) {
    const run = sv.store.open(trace);
    const { form } = state;
    sv.models.take(sv.models.made(trace));
    Object.assign(form, { prompt: trace.prompt, style: trace.style, system: trace.system ?? null, seed: trace.seed, max_new_tokens: trace.max_new_tokens + sv.fork.given(trace).length });
    Object.assign(form, trace.sampling);
    const first = trace.lanes.find((lane) => lane.rule) || trace.lanes[0];
    if (first) form.draft_length = first.draft_length;
    form.drafter = sv.drafter.common(run.lanes, form.drafter);
    state.run = run;
    state.source = source;
    state.raw = raw || null;
    const drafting = run.lanes.filter((lane) => lane.rule !== "plain").length;
    const seen = run.lanes.filter((lane) => drafting < 2 || lane.rule !== "plain").slice(0, 4);
    state.columns = columns || seen.map((lane) => ({ rule: lane.rule, knobs: { ...lane.knobs }, from: lane.index }));
    shown().forEach(({ column, lane }) => { column.drafter = lane.drafter; });
    state.front = Math.min(state.front, state.columns.length - 1);
    state.picked = null;
    emit("run");
  }

  function setTime(time) {
    state.time = time;
    emit("time");
  }

  // Rounds of a lane that are over at the playhead.
  function done(lane) {
    return state.live || state.time >= state.run.span ? lane.rounds.length : sv.store.at(lane, state.time).done;
  }

  function pick(lane, key) {
    state.picked = lane === null ? null : { lane, key };
    emit("pick");
  }

  function pickedToken() {
    return state.picked && state.run ? state.run.lanes[state.picked.lane]?.tokens[state.picked.key] || null : null;
  }

  // The kind of a measured number, given where the run came from.
  const measured = () => (state.source === "live" ? "measured" : "recorded");

  // How a rule is drawn: ink only, told apart by dash and mark; its twin says how.
  const PLAIN = ["ink3", 1, "", "none", "solid"];
  const UNKNOWN = ["ink3", 1.25, "7 2 1 2", "hexagon-open", "longdashdot"];
  function stroke(rule) {
    const [color, width, dash, symbol, plotly] = rule === "plain" ? PLAIN : sv.twins[rule]?.stroke || UNKNOWN;
    return { color, width, dash, symbol, plotly };
  }

  Object.assign(sv, { state, on, emit, shown, laneOf, differs, defaults, show, setTime, done, pick, pickedToken, measured, stroke, boot_data: boot });
})(window);
