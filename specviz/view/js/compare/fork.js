// Going on from a place in a run: what stands before it is kept, every lane writes on from there with the same draws,
// and a person may put another token there first. The run before stays reachable.
// A trace of such a run says so: continued = {prompt_length, position, forced}, see specviz.trace.
import { offline } from "specviz/core/boot.js";
import * as continued from "specviz/core/continued.js";
import { all, calm, el } from "specviz/core/dom.js";
import { on } from "specviz/core/events.js";
import { lined, named, percent } from "specviz/core/formats.js";
import * as live from "specviz/core/live.js";
import { joined } from "specviz/core/pieces.js";
import * as pairs from "specviz/core/pairs.js";
import { onDisplay, pick, setTime, show, state } from "specviz/core/state.js";
import * as store from "specviz/core/store.js";
import * as controls from "specviz/compare/controls.js";
import * as notices from "specviz/compare/notices.js";
import * as timeline from "specviz/compare/timeline.js";

const MOST = 20; // earlier runs that are remembered
const LEAST = 1e-5; // verifier probability of a token that is offered: less is said as 0 percent
/**
 * A run that can be gone back to, as it was on display.
 * @typedef {Pick<State, "source" | "raw" | "time" | "picked" | "columns"> & { trace: TraceData }} Past
 */
/** @type {Past[]} */
const past = []; // the runs before the one on display
/** @type {Past | null} */
let asked = null; // the run that was on display when one was asked to go on from it
let returning = false;
/** @type {HTMLElement} */
let box;

// What Python needs to go on from a position of a lane, with `forced` put there (or null).
/**
 * @param {Lane} lane
 * @param {number} position
 * @param {number | null} forced
 */
function request(lane, position, forced) {
  const { trace } = onDisplay();
  const kept = [
    ...continued.given(trace),
    ...lane.tokens.filter((token) => !token.cut && token.position < position),
  ].map((token) => token.id);
  return {
    pair: pairs.made(trace),
    prompt: trace.prompt,
    style: trace.style,
    system: trace.system ?? null,
    continued: { given: kept, forced, position, revisions: continued.revisions(trace) },
  };
}

/**
 * @param {Lane} lane
 * @param {number} position
 * @param {number | null} forced
 */
export function start(lane, position, forced = null) {
  if (state.live || !live.wire())
    return notices.error(
      "continued",
      state.live ? "A run is going on. Stop it first." : "The page is still connecting. Try again in a moment.",
    );
  const { source, raw, time, picked } = state;
  asked = {
    trace: onDisplay().trace,
    source,
    raw,
    time,
    picked,
    columns: state.columns.map((column) => ({ ...column, knobs: { ...column.knobs } })),
  };
  timeline.pause();
  controls.run(request(lane, position, forced));
}

function back() {
  if (state.live) return notices.notice("A run is going on. Stop it first.");
  const last = past.pop();
  if (!last) return;
  returning = true;
  timeline.pause();
  notices.clearErrors();
  show(last.trace, last.source, last.raw, last.columns);
  returning = false;
  setTime(last.time);
  if (last.picked) pick(last.picked.lane, last.picked.key, false);
  all(document, ".sv .lane .text")[state.front]?.focus({ preventScroll: true }); // the button is gone
}

// A run that goes on from the one before keeps it; any other run starts a new history.
function arrived() {
  const goesOn = state.source === "live" && onDisplay().trace.continued;
  const fresh = goesOn ? asked : null;
  if (fresh) {
    past.push(fresh);
    past.splice(0, past.length - MOST);
  } else if (!goesOn && !returning) past.length = 0;
  asked = null;
  banner();
  if (!fresh) return;
  box.focus({ preventScroll: true }); // what was pressed stood beside a token of the run before
  const { top } = box.getBoundingClientRect();
  if (top < 0 || top > innerHeight * 0.7) box.scrollIntoView({ behavior: calm() ? "auto" : "smooth" });
}

function banner() {
  const { trace } = onDisplay();
  box.hidden = !trace.continued;
  if (box.hidden) return;
  const all = continued.given(trace);
  const forced = all.find((token) => token.forced);
  const kept = all.length - (forced ? 1 : 0);
  /** @type {(string | Node)[]} */
  const words = [
    kept ? `The first ${kept === 1 ? "token is" : `${kept} tokens are`} kept from an earlier run, in grey.` : "",
  ];
  if (forced)
    words.push(
      kept ? " Token " : "Token ",
      String(kept + 1),
      ", ",
      el("bdi.mono", null, named(forced.text)),
      ", was put there by hand.",
    );
  words.push(" Every lane goes on from there.");
  box.replaceChildren(
    el("span", null, el("b", null, forced ? "Forked" : "Continued"), " ", words),
    past.length ? el("button.plainbutton.outlined", { type: "button", onclick: back }, "Back to the earlier run") : "",
  );
}

// The given text at the head of a lane, and the mark where the lane's own begins; null without.
export function head() {
  const all = state.run ? continued.given(state.run.trace) : [];
  if (!all.length) return null;
  const node = el("span.given", { title: "Given to every lane, kept from an earlier run" });
  joined(all).forEach((text, i) => {
    const [spaces] = /** @type {RegExpExecArray} */ (/^ */.exec(text));
    const word = el("bdi", null, lined(text.slice(spaces.length)));
    node.append(
      spaces,
      all[i].forced ? el("span.forced", { title: "Put here by hand: the run was forked at this token" }, word) : word,
    );
  });
  if (!all[all.length - 1].forced) node.append(el("span.onward", { title: "The run goes on from here" }));
  return node;
}

// Tokens that are no text; those of older traces, which do not say, by their look.
/** @param {number} id */
const special = (id) => onDisplay().special.has(id) || /^<\|.*\|>$/.test(onDisplay().trace.pieces[id] ?? "");

// The part of the inspector that goes on from a token; `slice` holds the likely tokens of its position.
/**
 * @param {Token} token
 * @param {Lane} lane
 * @param {SliceData | null} slice
 */
export function block(token, lane, slice) {
  if (offline || token.fate === "discarded") return null;
  const before = token.position - continued.promptLength(onDisplay().trace);
  const kept = before === 1 ? "one token" : `${before} tokens`;
  const words =
    `${before === 0 ? "From the beginning" : `Keeps the ${kept} before this one`}. ` +
    "Every lane goes on with its knobs as they are now, and the same draws.";
  const written = store.writtenAt(lane, token.position)?.id;
  const likely =
    slice && token.fate !== "bonus"
      ? slice.tokens.map((id, i) => ({ id, draft: slice.draft[i], verifier: slice.verifier[i] }))
      : [];
  const offered = likely.filter(({ id, verifier }) => id !== written && !special(id) && verifier >= LEAST); // a slice is filled up where little is possible
  /**
   * @param {"button.chip" | "button.plainbutton.outlined"} spec
   * @param {Record<string, unknown>} attributes
   * @param {...any} content
   */
  const button = (spec, attributes, ...content) =>
    el(spec, { type: "button", "aria-disabled": state.live ? "true" : null, ...attributes }, ...content);
  const chips = offered.map(({ id, draft, verifier }) => {
    const name = named(onDisplay().trace.pieces[id] ?? "");
    const chances = `verifier ${percent(verifier)} %, draft ${percent(draft)} %`;
    return button(
      "button.chip",
      {
        title: `Go on with this token instead: ${chances}`,
        "aria-label": `Fork with ${name}: ${chances}`,
        "data-token": id,
        onclick: () => start(lane, token.position, id),
      },
      el("bdi", null, name),
      el("small", null, percent(verifier)),
    );
  });
  return el(
    "div.goon",
    null,
    el(
      "div.rowspread",
      null,
      el("h3", null, "Go on from here"),
      chips.length ? el("span.caption", null, "verifier, percent ", el("span.badge.exact", null, "exact")) : null,
    ),
    el("p.aside", null, words),
    el(
      "div.chips",
      null,
      button("button.plainbutton.outlined", { onclick: () => start(lane, token.position) }, "Re-run from here"),
      chips.length ? [el("span.caption", null, "or put here"), chips] : null,
    ),
    el("p.error", { role: "alert", "data-error": "continued" }),
  );
}

// How many earlier runs can be gone back to.
export const earlier = () => past.length;

export function build() {
  box = el("div.continued", { role: "status", hidden: true, tabindex: -1 });
  on("run", arrived);
  on("ended", () => {
    asked = null;
  });
  return box;
}
