// What a knob costs in right answers: a sweep over rules, knob values and questions, run by the server. Until one has
// run here, a recorded one is on display.
import { boot } from "specviz/core/boot.js";
import { decode, encode, without } from "specviz/core/codes.js";
import { el, set } from "specviz/core/dom.js";
import { emit, on } from "specviz/core/events.js";
import * as live from "specviz/core/live.js";
import { section } from "specviz/parts/section.js";
import * as curves from "specviz/sweep/curves.js";
import * as form from "specviz/sweep/form.js";
import * as questions from "specviz/sweep/questions.js";
import * as recordings from "specviz/sweep/recordings.js";
import * as table from "specviz/sweep/table.js";

/**
 * @typedef {{
 *   source: string, run: HTMLButtonElement, fill: HTMLElement, bar: HTMLElement, count: HTMLElement,
 *   status: HTMLElement, error: HTMLElement, results: HTMLElement, page: HTMLElement,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({});
/** @type {SweepMessage | null} */
let shown = null; // the message on display
/** @type {SweepMessage | null} */
let own = null; // the visitor's own, as far as it is
/** @type {{ id: string, stopped: boolean, before: SweepMessage | null } | null} */
let current = null; // {id, stopped, before} while one runs; `before`: what was on display
let open = false;

/**
 * @param {string} words
 * @param {string} error
 */
function say(words, error = "") {
  set(parts.status, words);
  set(parts.error, error);
}

/** @param {number} seconds */
const spell = (seconds) => (seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`);

/**
 * @param {SweepMessage} sweepMessage
 * @param {boolean} [ended]
 */
function progress({ done, total, seconds, left }, ended) {
  const share = total ? done / total : 0;
  parts.fill.style.transform = `scaleX(${share})`;
  parts.bar.setAttribute("aria-valuenow", String(Math.round(100 * share)));
  const rest = ended ? "" : left === null ? "" : `, about ${spell(left)} left`;
  set(
    parts.count,
    `${done.toLocaleString("en-US")} of ${total.toLocaleString("en-US")} ` +
      `texts${seconds === undefined ? "" : `, ${spell(seconds)}`}${rest}`,
  );
}

/**
 * @param {SweepMessage} one
 * @param {SweepMessage} other
 */
const same = (one, other) =>
  one.run === other.run && one.rows.length === other.rows.length && one.ended === other.ended;

/**
 * @param {SweepMessage} message
 * @param {string} source
 */
function display(message, source) {
  const before = shown;
  shown = message;
  if (source === "measured") own = message;
  parts.results.hidden = false;
  if (before && source === "measured" && parts.source === "measured" && same(before, message)) return;
  parts.source = source;
  table.show(message, source);
  if (open) draw();
}

function draw() {
  if (shown) curves.show(shown, shown === own ? (current?.before ?? null) : null);
}

// Puts a recorded sweep on display, or with null the visitor's own; the form follows, unless it holds something else.
/** @param {number | null} which */
async function choose(which) {
  if (current) return;
  try {
    const message = which === null ? own : await recordings.get(which);
    if (current || !message) return;
    if (recordings.of(form.asked()) >= 0) form.fill(which === null ? { ...message.asked } : recordings.asked(which));
    recordings.mark(which, own !== null);
    display(message, which === null ? "measured" : "recorded");
  } catch {
    say("", "This recorded sweep could not be had.");
  }
}

// What is there before anyone presses Run: the recording of what the form says, or else the first.
function first() {
  if (!shown && recordings.count()) choose(Math.max(0, recordings.of(form.asked())));
}

function run() {
  if (current) return stop();
  const wire = live.wire();
  form.faultless();
  if (!wire) return say("", "The page is still connecting. Try again in a moment.");
  running(true);
  say("Starting…");
  const id = live.begin("sweep", { settings: JSON.stringify(form.asked()) }, receive);
  current = { id, stopped: false, before: shown };
}

function stop() {
  if (!current || current.stopped) return;
  current.stopped = true;
  live.stop(current.id);
  say("Stopping…");
}

/** @param {boolean} on */
function running(on) {
  set(parts.run, on ? "Stop" : "Run sweep");
  parts.page.setAttribute("aria-busy", String(on));
}

function finish(words = "", error = "") {
  current = null;
  running(false);
  say(words, error);
  if (shown && !shown.ended && parts.source === "measured") display({ ...shown, ended: true }, "measured");
}

/** @param {SweepMessage & { kind: string, field: string, message: string }} message */
function receive(message) {
  if (message.kind === "wait") return say(message.message);
  if (message.kind === "error") {
    finish();
    if (!form.fault(message.field, message.message)) say("", message.message);
    return;
  }
  progress(message, message.ended);
  if (!current?.stopped) say(waiting(message));
  recordings.mark(null, true);
  display(message, "measured");
  if (message.ended) finish(message.message);
}

// What goes on before there are points.
/** @param {SweepMessage} sweepMessage */
function waiting({ starting, rows }) {
  if (starting) return `Starting ${starting} processes, each with its own models.`;
  return rows.length ? "" : "The verifier alone comes first: the others are held against it.";
}

/** @param {string} text */
function unpack(text) {
  say("");
  if (!text) return;
  try {
    const ignored = form.fill(decode(text));
    if (ignored.length) say(without(ignored));
  } catch {
    say("", "This link is damaged, so its settings were ignored.");
  }
}

// The section, see shell/sections.js.
export function build() {
  parts.run = el("button.run", { type: "button", onclick: run }, "Run sweep");
  parts.fill = el("i");
  parts.bar = el(
    "div.sweepbar",
    {
      role: "progressbar",
      "aria-label": "Texts decoded",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-valuenow": 0,
    },
    parts.fill,
  );
  parts.count = el("span.num");
  parts.status = el("p.notice", { role: "status", "aria-live": "polite" });
  parts.error = el("p.error", { role: "alert" });
  const settings = form.build();
  const described = () =>
    [boot.sweep.pair, ...(shown ? table.described(shown.asked) : []), parts.source].filter((words) => words !== null);
  /**
   * @param {string} rule
   * @param {HTMLElement} graph
   */
  const press = (rule, graph) => {
    if (shown) questions.open(shown, rule, graph);
  };
  const plots = curves.build(press, described);
  parts.results = el("div.sweepresults", { hidden: true }, recordings.build(choose), plots, table.build());
  parts.page = section(
    ".sweep",
    "Sweep",
    el(
      "div.intro",
      null,
      el("h2", null, "What a knob costs in right answers"),
      el(
        "p.opening",
        null,
        boot.sweep.pair
          ? `On the pair “${boot.sweep.pair}”, whichever is chosen for runs: its questions have answers. `
          : "",
        "Questions with one right answer, decoded under every rule at every setting with the same seeds. " +
          "Further right, more of the draft was kept; further down, fewer answers were right. " +
          "Press a point to see which.",
      ),
    ),
    settings,
    el(
      "div.sweeprun",
      null,
      parts.run,
      parts.bar,
      el("div.sweepsaid", null, parts.count, form.sum(), parts.status, parts.error),
    ),
    parts.results,
  );
  parts.page.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !current) {
      event.preventDefault();
      run();
    }
  });
  form.fill({});
  on("sweepform", () => {
    if (open) emit("address");
  });
  return {
    words: "Sweep",
    key: "sweep",
    page: parts.page,
    pack: () => encode(form.asked()),
    unpack,
    opened: () => {
      open = true;
      first();
      draw();
    },
    closed: () => {
      open = false;
    },
  };
}
