// Going on from a place in a run: what stands before it is kept, every lane writes on from there with the same draws,
// and a person may put another token there first. The run before stays reachable.
// A trace of such a run says so: continued = {prompt_length, position, forced}, see specviz.trace.
(function (root) {
  "use strict";
  const sv = root.specviz;
  const { el, named, lined, percent } = sv.dom;
  const { state } = sv;
  const MOST = 20; // earlier runs that are remembered
  const earlier = [];
  let asked = null; // the run that was on display when one was asked to go on from it
  let returning = false;
  let box;

  // How many of prompt_tokens are the prompt's own.
  const promptLength = (trace) => trace.continued?.prompt_length ?? trace.prompt_tokens.length;

  // The tokens that were given to every lane: [{id, text, forced}].
  function given(trace) {
    const { continued, prompt_tokens: tokens } = trace;
    const first = promptLength(trace);
    const special = new Set(trace.special);
    return tokens.slice(first).map((id, i) => ({ id, text: trace.pieces[id] ?? "", special: special.has(id), forced: Number.isInteger(continued.forced) && first + i === continued.position }));
  }

  // Of the models that wrote a run; null where there was no draft model.
  const revisions = ({ models }) => [models.draft?.revision ?? null, models.verifier.revision];

  const givenText = () => (state.run ? sv.store.joined(given(state.run.trace)).join("") : "");

  // What Python needs to go on from a position of a lane, with `forced` put there (or null).
  function request(lane, position, forced) {
    const { trace } = state.run;
    const kept = [...given(trace), ...lane.tokens.filter((token) => !token.cut && token.position < position)].map((token) => token.id);
    return { pair: sv.models.made(trace), prompt: trace.prompt, style: trace.style, system: trace.system ?? null, continued: { given: kept, forced, position, revisions: revisions(trace) } };
  }

  // The same for the run on display, as a link holds it; null if it began at its prompt.
  function origin() {
    const trace = state.run?.trace;
    if (!trace?.continued) return null;
    const { position, forced = null } = trace.continued;
    return { given: trace.prompt_tokens.slice(promptLength(trace), position), forced, position, revisions: revisions(trace) };
  }

  function readable(value) {
    const whole = Number.isInteger;
    return value && Array.isArray(value.given) && value.given.every(whole) && whole(value.position) && (value.forced === null || whole(value.forced)) && Array.isArray(value.revisions);
  }

  function start(lane, position, forced = null) {
    if (state.live || !sv.live.wire()) return sv.controls.error("continued", state.live ? "A run is going on. Stop it first." : "The page is still connecting. Try again in a moment.");
    const { run, source, raw, time, picked } = state;
    asked = { trace: run.trace, source, raw, time, picked, columns: state.columns.map((column) => ({ ...column, knobs: { ...column.knobs } })) };
    sv.timeline.pause();
    sv.controls.run(request(lane, position, forced));
  }

  function back() {
    if (state.live) return sv.controls.notice("A run is going on. Stop it first.");
    const last = earlier.pop();
    if (!last) return;
    returning = true;
    sv.timeline.pause();
    sv.controls.clearErrors();
    sv.show(last.trace, last.source, last.raw, last.columns);
    returning = false;
    sv.setTime(last.time);
    if (last.picked) sv.pick(last.picked.lane, last.picked.key);
    document.querySelectorAll(".sv .lane .text")[state.front]?.focus({ preventScroll: true }); // the button is gone
  }

  // A run that goes on from the one before keeps it; any other run starts a new history.
  function arrived() {
    const goesOn = state.source === "live" && state.run.trace.continued;
    const fresh = goesOn && asked;
    if (fresh) { earlier.push(asked); earlier.splice(0, earlier.length - MOST); } else if (!goesOn && !returning) earlier.length = 0;
    asked = null;
    banner();
    if (!fresh) return;
    box.focus({ preventScroll: true }); // what was pressed stood beside a token of the run before
    const { top } = box.getBoundingClientRect();
    if (top < 0 || top > innerHeight * 0.7) box.scrollIntoView({ behavior: sv.dom.calm() ? "auto" : "smooth" });
  }

  function banner() {
    const { trace } = state.run;
    box.hidden = !trace.continued;
    if (box.hidden) return;
    const all = given(trace);
    const forced = all.find((token) => token.forced);
    const kept = all.length - (forced ? 1 : 0);
    const words = [kept ? `The first ${kept === 1 ? "token is" : `${kept} tokens are`} kept from an earlier run, in grey.` : ""];
    if (forced) words.push(kept ? " Token " : "Token ", String(kept + 1), ", ", el("bdi.mono", null, named(forced.text)), ", was put there by hand.");
    words.push(" Every lane goes on from there.");
    box.replaceChildren(el("span", null, el("b", null, forced ? "Forked" : "Continued"), " ", words),
      earlier.length ? el("button.plainbutton.outlined", { type: "button", onclick: back }, "Back to the earlier run") : "");
  }

  // The given text at the head of a lane, and the mark where the lane's own begins; null without.
  function head() {
    const all = state.run ? given(state.run.trace) : [];
    if (!all.length) return null;
    const node = el("span.given", { title: "Given to every lane, kept from an earlier run" });
    sv.store.joined(all).forEach((text, i) => {
      const spaces = /^ */.exec(text)[0];
      const word = el("bdi", null, lined(text.slice(spaces.length)));
      node.append(spaces, all[i].forced ? el("span.forced", { title: "Put here by hand: the run was forked at this token" }, word) : word);
    });
    if (!all[all.length - 1].forced) node.append(el("span.onward", { title: "The run goes on from here" }));
    return node;
  }

  // The part of the inspector that goes on from a token; `slice` holds the likely tokens of its position.
  function block(token, lane, slice) {
    if (sv.offline || token.fate === "discarded") return null;
    const before = token.position - promptLength(state.run.trace);
    const words = `${before === 0 ? "From the beginning" : `Keeps the ${before === 1 ? "one token" : `${before} tokens`} before this one`}. Every lane goes on with its knobs as they are now, and the same draws.`;
    const written = sv.store.writtenAt(lane, token.position)?.id;
    const likely = slice && token.fate !== "bonus" ? slice.tokens.map((id, i) => ({ id, draft: slice.draft[i], verifier: slice.verifier[i] })) : [];
    const offered = likely.filter(({ id, draft, verifier }) => id !== written && !state.run.special.has(id) && (draft > 0 || verifier > 0)); // a slice is filled up where little is possible
    const button = (spec, attributes, ...content) => el(spec, { type: "button", "aria-disabled": state.live ? "true" : null, ...attributes }, ...content);
    const chips = offered.map(({ id, draft, verifier }) => {
      const name = named(state.run.trace.pieces[id] ?? "");
      const chances = `verifier ${percent(verifier)} %, draft ${percent(draft)} %`;
      return button("button.chip", { title: `Go on with this token instead: ${chances}`, "aria-label": `Fork with ${name}: ${chances}`, "data-token": id, onclick: () => start(lane, token.position, id) },
        el("bdi", null, name), el("small", null, percent(verifier)));
    });
    return el("div.goon", null,
      el("div.rowspread", null, el("h3", null, "Go on from here"), chips.length ? el("span.caption", null, "verifier, percent ", el("span.badge.exact", null, "exact")) : null),
      el("p.aside", null, words),
      el("div.chips", null, button("button.plainbutton.outlined", { onclick: () => start(lane, token.position) }, "Re-run from here"),
        chips.length ? [el("span.caption", null, "or put here"), chips] : null),
      el("p.error", { role: "alert", "data-error": "continued" }));
  }

  function build() {
    box = el("div.continued", { role: "status", hidden: true, tabindex: -1 });
    sv.on("run", arrived);
    sv.on("ended", () => { asked = null; });
    return box;
  }

  sv.fork = { build, block, head, start, back, origin, readable, given, givenText, promptLength, earlier: () => earlier.length };
})(window);
