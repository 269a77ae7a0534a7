// The pairs of models: which one runs next, what it is, how far its loading has come, and which one made the run on
// display. A pair goes by its name; null is the page's own: the one that comes first, or models that the page was
// started with.
import { boot, offline } from "specviz/core/boot.js";
import { el, set } from "specviz/core/dom.js";
import * as drafters from "specviz/core/drafters.js";
import { emit, on } from "specviz/core/events.js";
import { count } from "specviz/core/formats.js";
import * as live from "specviz/core/live.js";
import { made, offered } from "specviz/core/pairs.js";
import { onDisplay, state } from "specviz/core/state.js";
import * as notices from "specviz/compare/notices.js";

/**
 * @typedef {{
 *   select: HTMLSelectElement, choice: HTMLElement, words: HTMLElement, knows: HTMLElement, said: HTMLElement,
 *   bar: HTMLElement,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({});
/** @type {Map<string | null, PairFacts>} */
const ready = new Map(); // name -> what the server says of a pair that it has loaded
/** @type {PairFacts | null} */
let own = null; // what it says of the page's own
/** @type {string | null} */
let missing = null; // the pair that the page would have begun with, if another stands in for it
/** @type {string | null} */
let last = null; // the name of the last pair that was there

/**
 * @param {string | null} name
 * @returns {PairFacts | null}
 */
const facts = (name) => ready.get(name) || offered().find((pair) => pair.name === name) || own;

/** @param {TraceData} traceData */
const modelsOf = ({ models }) => [models.draft, models.verifier].filter(Boolean);

// A run's models, as people call them.
/** @param {TraceData} trace */
export function titled(trace) {
  const name = made(trace);
  return name
    ? (facts(name)?.title ?? name)
    : modelsOf(trace)
        .map((model) => model.id)
        .join(", ");
}

// "Draft 0.9 M, verifier 5.9 M parameters"
/** @param {Sizes} sizes */
function sized({ draft, head, exit, lookahead, verifier }) {
  const size = `verifier ${count(verifier)} parameters`;
  if (!draft && !head && !exit && !lookahead) return `V${size.slice(1)}, no draft model`;
  const parts = { draft, head, exit, "look-ahead tokens": lookahead };
  const words = [...Object.entries(parts).map(([name, size]) => size && `${name} ${count(size)}`), size]
    .filter(Boolean)
    .join(", ");
  return words[0].toUpperCase() + words.slice(1);
}

// Sampling and drafter become those that suit the chosen pair.
function suit() {
  const { sampling, drafter } = facts(state.form.pair) ?? {};
  Object.assign(state.form, sampling);
  if (drafter) state.form.drafter = drafters.complete(drafter);
}

// Whether a drafter is the one that suits the chosen pair, knobs and all.
/** @param {Drafter} drafter */
export function suited(drafter) {
  const own = facts(state.form.pair)?.drafter;
  return own ? drafters.same(drafter, own) : drafters.usual(drafter);
}

// Whether a drafter can work with the chosen pair, as far as the page knows.
/** @param {string} name */
export const able = (name) => drafters.trained(name).every((role) => facts(state.form.pair)?.parameters[role]);

// The ways in which the chosen pair takes a prompt, and what its template says to the model by itself (null: not
// known).
export const styles = () => facts(state.form.pair)?.styles || {};
export const system = () => ready.get(state.form.pair)?.system ?? null;

// A style that the chosen pair has: the one given, or its usual one.
/** @param {string | null} [given] */
export const style = (given) => (given && Object.hasOwn(styles(), given) ? given : (Object.keys(styles())[0] ?? null));

// Takes a pair for the next run, without loading it; one that is missing here has another stand in for it.
/** @param {string | null} name */
export function take(name) {
  const known = offered().some((pair) => pair.name === name);
  state.form.pair = name === missing && missing !== null ? (own?.name ?? null) : known ? name : null;
  if (state.form.pair === null && offered().length) state.form.pair = last ?? offered()[0].name;
}

// Asks the server for a pair until it is there, telling how far it is; what it says in the end, or null if it cannot be
// asked.
/**
 * @param {string | null} name
 * @returns {Promise<{ state: string, message: string, share?: number, pair?: PairFacts } | null>}
 */
async function load(name) {
  const wire = live.wire();
  if (!wire) return null;
  for (;;) {
    const answer = await live.call("load", name);
    if (answer.error) return { state: "failed", message: answer.error };
    if (answer.state !== "loading") return answer;
    if (name === state.form.pair || name === null) say(answer.message, answer.share);
  }
}

/**
 * @param {string} words
 * @param {number | null} share
 */
function say(words, share = null) {
  set(parts.said, words);
  parts.bar.hidden = share === null;
  parts.bar.style.setProperty("--share", String(share ?? 0));
}

/** @param {string} sentence */
export function failed(sentence) {
  say("");
  notices.error("pair", sentence);
  if (last !== null || !offered().length) state.form.pair = last;
  emit("form");
}

// A pair chosen by hand loads at once; until it is there the one before may be chosen again.
/** @param {string} name */
async function choose(name) {
  notices.error("pair", "");
  if (name === missing) missing = null; // asked for by name, nothing stands in for it
  state.form.pair = name;
  state.form.style = style(state.form.style);
  suit();
  emit("form");
  const answer = await load(name);
  if (!answer || state.form.pair !== name) return;
  if (!answer.pair) return failed(answer.message);
  arrived(name, answer.pair);
}

/**
 * @param {string | null} name
 * @param {PairFacts} pair
 */
function arrived(name, pair) {
  ready.set(name, pair);
  last = name;
  say(pair.notice ?? "");
  emit("form");
}

// The page's own pair is being loaded from the start.
async function begin() {
  const answer = await load(null);
  if (!answer?.pair) {
    say("");
    return notices.error("pair", answer?.message ?? "");
  }
  own = answer.pair;
  const [first] = offered();
  if (first && own.name !== first.name) missing = first.name;
  if (missing !== null && state.form.pair === missing) state.form.pair = own.name;
  if (!first) state.form.pair = null;
  ready.set(own.name ?? null, own);
  last = last ?? own.name;
  if (state.form.pair !== (own.name ?? null)) return;
  state.form.style = state.run && made(state.run.trace) === own.name ? state.form.style : style(state.form.style);
  arrived(own.name ?? null, own);
}

function draw() {
  const name = state.form.pair;
  const known = facts(name);
  const choices = offered();
  parts.select.replaceChildren(
    ...choices.map((pair) => el("option", { value: pair.name, title: pair.knows }, pair.title)),
  );
  if (name !== null) parts.select.value = name;
  parts.choice.hidden = choices.length < 2 || Boolean(offline);
  const { trace } = state.run || {};
  const here =
    trace && (made(trace) === name || (!choices.length && (!own || own.ids?.at(-1) === trace.models.verifier.id)));
  const size = trace && (here || offline) ? sized(used(trace)) : known ? sized(known.parameters) : "";
  const title = trace && offline ? titled(trace) : choices.length < 2 ? known?.title : "";
  set(parts.words, [title, size, (offline && trace ? facts(made(trace)) : known)?.licence].filter(Boolean).join(" · "));
  const other = trace && !here && !offline ? `On display: a run of ${titled(trace)}.` : "";
  set(
    parts.knows,
    [(offline && trace && made(trace) ? facts(made(trace)) : offline ? null : known)?.knows, other]
      .filter(Boolean)
      .join(" "),
  );
}

// The parameters of the models that took part in a run, by role.
/**
 * @param {TraceData} traceData
 * @returns {Sizes}
 */
function used({ models }) {
  /** @param {"uses_draft_model" | "uses_head" | "uses_exit" | "uses_lookahead"} what */
  const by = (what) => onDisplay().lanes.some((lane) => lane.drafter && drafters.words(lane.drafter.name)[what]);
  return {
    draft: by("uses_draft_model") ? models.draft?.parameters : null,
    head: by("uses_head") ? models.head?.parameters : null,
    exit: by("uses_exit") ? models.exit?.parameters : null,
    lookahead: by("uses_lookahead") ? models.lookahead?.parameters : null,
    verifier: models.verifier.parameters,
  };
}

// What the foot of the page says of the run on display.
/** @param {TraceData} trace */
export function foot(trace) {
  const name = made(trace);
  const licence = name ? `, ${facts(name)?.licence}` : "";
  return `specviz ${trace.versions.specviz ?? ""} · ${titled(trace)}${licence} · revisions ${modelsOf(trace)
    .map((model) => model.revision.slice(0, 12))
    .join(", ")}`;
}

export function build() {
  parts.select = el("select", {
    "aria-label": "Models",
    "data-field": "pair",
    onchange: () => choose(parts.select.value),
  });
  parts.choice = el("label.field", { title: "The draft and the verifier that run next." }, "Models", parts.select);
  parts.words = el("span.modelsize");
  parts.knows = el("p.caption.knows");
  parts.said = el("p.notice", { role: "status", "aria-live": "polite" });
  parts.bar = el("div.loadbar", { hidden: true, "aria-hidden": "true" });
  if (!offline && boot.pairs) {
    take(offered()[0]?.name ?? null);
    suit();
  }
  on("run settings form", draw);
  on("connected", begin);
  return el(
    "div.models",
    null,
    el("div.modelline", null, parts.choice, parts.words),
    parts.knows,
    parts.said,
    parts.bar,
    el("p.error", { role: "alert", "data-error": "pair" }),
  );
}

// Whatever is on display, the models that made it run next.
on("run", () => take(made(onDisplay().trace)));
