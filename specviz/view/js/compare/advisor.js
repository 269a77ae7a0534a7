// Which setting should I use? The server reads the run's texts once more; here its answer becomes a table, a row of
// which can be put into a lane or held against a real run.
import { el, inside, set } from "specviz/core/dom.js";
import { emit, on } from "specviz/core/events.js";
import { finite, fixed, label, nats, number, symbol } from "specviz/core/formats.js";
import * as live from "specviz/core/live.js";
import * as pairs from "specviz/core/pairs.js";
import { MAX_LANES, ownOf, state } from "specviz/core/state.js";
import * as drafters from "specviz/core/drafters.js";
import * as about from "specviz/parts/about.js";
import { column, heads, unseen } from "specviz/parts/heads.js";
import { key } from "specviz/parts/key.js";
import * as controls from "specviz/compare/controls.js";

/** @type {Record<string, [before: string, after: string, value: string, title: string]>} */
const GOALS = {
  spend: [
    "Spend at most",
    "nats per token",
    "0.05",
    "How far the written text may stray from what the verifier would have written: the mean KL of the " +
      "output law from the verifier, per judged token.",
  ],
  accept: [
    "Keep at least",
    "tokens per round",
    "2",
    "Drafted tokens kept per look of the verifier; the one it always adds is not counted.",
  ],
};
const FIND = "Find settings";
/**
 * @typedef {{
 *   length: HTMLSelectElement, asked: boolean, button: HTMLButtonElement, status: HTMLElement, error: HTMLElement,
 *   table: HTMLElement, box: HTMLElement,
 *   goals: Record<string, { label: HTMLElement, input: HTMLInputElement, error: HTMLElement }>,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({ goals: {} });
let goal = "spend";
/**
 * A setting, as specviz/ui/advice.py gives it; `tried`: what a real run kept.
 * @typedef {{
 *   rule: string, name: string, knobs: Knobs, drafter: string, draft_length: number, kept: number,
 *   interval: [number, number], kl: number, speedup: number, speedup_interval: [number, number], attempt?: number,
 *   tried?: { kept: number, kl: Num, inside: boolean },
 * }} Row
 */

/**
 * @type {{
 *   rows: Row[], missing: string[], texts: number, goal: string, trace: string, run: Run, value: number | string,
 *   fixedLength: boolean,
 * } | null}
 */
let answer = null; // and the trace it was read from
let busy = false;
/** @type {ReturnType<typeof live.ask> | null} */
let asking = null; // the question that the server has not answered yet

/**
 * @param {string} words
 * @param {string} error
 * @param {string} field
 */
function say(words, error = "", field = "") {
  set(parts.status, words);
  Object.entries(parts.goals).forEach(([name, { input, error: node }]) => {
    const here = name === field;
    set(node, here ? error : "");
    if (here) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  });
  set(parts.error, parts.goals[field] ? "" : error);
  return null;
}

// A question to the server; null when there is no answer, which has then been said.
/**
 * @param {string} kind
 * @param {string | null} pair
 * @param {object} question
 */
async function server(kind, pair, question) {
  if (!live.wire()) return say("", "The page is still connecting. Try again in a moment.");
  asking = live.ask(kind, pair, question, say);
  const found = await asking.answer;
  asking = null;
  if (found.stopped) return say(found.stopped);
  return found.error ? say("", found.error, found.field) : found;
}

/** @param {boolean} on */
function working(on) {
  busy = on;
  parts.box.setAttribute("aria-busy", String(on));
  set(parts.button, on ? "Stop" : FIND);
  for (const button of parts.box.querySelectorAll("button"))
    if (on && button !== parts.button) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
}

async function ask() {
  if (busy) return;
  if (!state.run || !state.raw || state.live) return say("", "This run has not ended yet.");
  const given = parts.goals[goal].input.value.trim();
  const value = given !== "" && Number.isFinite(Number(given)) ? Number(given) : given;
  const asked = { goal, trace: state.raw, run: state.run };
  const fixedLength = parts.length.value !== "";
  working(true);
  say("The models read the texts once more, then every rule is tried at some thirty settings: a few seconds.");
  const found = await server("advise", pairs.made(asked.run.trace), {
    trace: asked.trace,
    goal,
    value,
    draft_length: fixedLength ? Number(parts.length.value) : null,
  });
  working(false);
  if (!found) return;
  /** @type {Row[]} */
  const rows = found.rows.map((/** @type {Row} */ row) => ({ ...row, kl: finite(row.kl) }));
  if (goal === "accept") rows.sort((one, other) => one.kl - other.kl || other.speedup - one.speedup);
  answer = { ...found, rows, ...asked, value, fixedLength };
  say("");
  draw();
}

/** @param {Row} row */
function knobsOf(row) {
  const [name, value] = Object.entries(row.knobs).find(([, one]) => typeof one === "number") || [];
  return name ? [`${symbol(name)} `, el("b", null, number(value))] : "no knob";
}

// The lane a row would go to: the one with its rule, or else a new one, or else the last.
/** @param {Row} row */
function target(row) {
  const own = state.columns.findIndex((column) => column.rule === row.name);
  if (own >= 0) return { index: own, words: `Set in lane ${own + 1}` };
  const count = state.columns.length;
  return count < MAX_LANES
    ? { index: count, words: `Add as lane ${count + 1}` }
    : { index: count - 1, words: `Put in lane ${count}` };
}

/** @param {Row} row */
function use(row) {
  if (state.live || busy) return say("", "A run is going on. Wait for its end.");
  const { index } = target(row);
  const from = state.run ? state.run.lanes.findIndex((lane) => lane.rule === row.name) : -1;
  const old = state.columns[index];
  state.columns[index] = {
    rule: row.name,
    knobs: { ...row.knobs },
    drafter: ownOf({ drafter: drafters.parse(row.drafter) }),
    from: old && old.rule === row.name ? old.from : from >= 0 ? from : null,
  };
  controls.put("draft_length", row.draft_length);
  state.front = index;
  emit("columns"); // draws this table too
  inside(parts.table, `[data-row="${row.name}"] .outlined`)?.focus({ preventScroll: true });
  say(
    `${label(row.name, row.knobs)} is in lane ${index + 1} now, drafting ${row.draft_length}. Press Run to ` +
      "see it write.",
  );
}

/** @param {Row} row */
async function tryOut(row) {
  if (busy || state.live) return state.live ? say("", "A run is going on. Wait for its end.") : undefined;
  row.attempt = (row.attempt || 0) + 1;
  const { run, trace } = /** @type {NonNullable<typeof answer>} */ (answer);
  working(true);
  say(`Running ${label(row.name, row.knobs)} on the same prompt with another seed…`);
  const found = await server("tryout", pairs.made(run.trace), {
    trace,
    rule: row.rule,
    drafter: row.drafter,
    draft_length: row.draft_length,
    interval: row.interval,
    attempt: row.attempt,
  });
  working(false);
  if (!found) return;
  row.tried = { ...found, kl: finite(found.kl) };
  draw();
  say(`A real run kept ${fixed(found.kept)} per round: ${found.inside ? "inside" : "outside"} the interval.`);
  inside(parts.table, `[data-row="${row.name}"] .try`)?.focus();
}

// Kept per round on a common scale: the interval, the estimate in it, and what a real run kept.
/**
 * @param {Row} row
 * @param {number} most
 */
function range(row, most) {
  /** @param {number} value */
  const at = (value) => `${Math.max(0, Math.min(1, value / most)) * 100}%`;
  const span = el("i.span");
  span.style.left = at(row.interval[0]);
  span.style.right = `calc(100% - ${at(row.interval[1])})`;
  const dot = el("i.dot2");
  dot.style.left = at(row.kept);
  const real = row.tried ? el(row.tried.inside ? "i.real" : "i.real.out") : null;
  if (real && row.tried) real.style.left = at(row.tried.kept);
  return el("span.range", { "aria-hidden": "true" }, span, dot, real);
}

/**
 * @param {Row} row
 * @param {number} most
 */
function line(row, most) {
  /**
   * @param {string} label
   * @param {...any} content
   */
  const cell = (label, ...content) => el("td", { "data-label": label }, ...content);
  /**
   * @param {[number, number]} given
   * @param {number} digits
   * @param {string} unit
   */
  const between = ([low, high], digits, unit = "") =>
    el("span.caption", null, `${fixed(low, digits)} to ${fixed(high, digits)}${unit}`);
  const { tried } = row;
  return el(
    "tr",
    { "data-row": row.name },
    el(
      "th",
      { scope: "row" },
      el(
        "span.rulename",
        null,
        key(row.name),
        row.name,
        about.button(row.name, () => row.knobs),
      ),
    ),
    cell("setting", knobsOf(row), answer?.fixedLength ? null : el("span.caption", null, `drafts ${row.draft_length}`)),
    el(
      "td.kept",
      { "data-label": "kept per round" },
      el("b", null, fixed(row.kept)),
      range(row, most),
      between(row.interval, 2),
    ),
    cell("divergence", el("b", null, nats(row.kl))),
    el(
      "td.speed",
      { "data-label": "speed-up" },
      el("b", null, `${fixed(row.speedup)}×`),
      between(row.speedup_interval, 2, "×"),
    ),
    el(
      "td.real",
      { "data-label": "a real run" },
      tried
        ? [
            el("b", null, fixed(tried.kept)),
            el(tried.inside ? "span.caption" : "span.caption.out", null, tried.inside ? "inside" : "outside"),
          ]
        : null,
      el(
        "button.plainbutton.try",
        { type: "button", "aria-label": `Check ${row.name} by a real run`, onclick: () => tryOut(row) },
        tried ? "Again" : "Check",
      ),
    ),
    el(
      "td.act",
      null,
      el(
        "button.plainbutton.outlined",
        {
          type: "button",
          "aria-label": `${target(row).words}: ${label(row.name, row.knobs)}`,
          onclick: () => use(row),
        },
        target(row).words,
      ),
    ),
  );
}

function draw() {
  parts.table.hidden = !answer;
  if (!answer) return parts.table.replaceChildren();
  const { rows, missing, texts, value } = answer;
  const lead =
    answer.goal === "spend"
      ? `At most ${value} nats per token, fastest first`
      : `At least ${value} kept per round, least divergence first`;
  const most = Math.max(1, ...rows.map((row) => row.draft_length));
  const table = rows.length
    ? el(
        "table.advice.ledger",
        null,
        heads(
          "rule",
          "setting",
          column("kept per round", "estimated", "And the interval that holds a fresh text like these 95 times in 100."),
          column("divergence, nats", "exact", "Mean KL(output law ‖ verifier) per judged token of these texts."),
          column("speed-up", "estimated", "Against plain decoding, from the seconds both models need here and now."),
          column("a real run", "measured", "Kept per round on the same prompt with another seed."),
          unseen("use it"),
        ),
        el(
          "tbody",
          null,
          rows.map((row) => line(row, most)),
        ),
      )
    : null;
  const none = rows.length ? "" : "No setting of any rule reaches this. ";
  const rest = rows.length && missing.length ? `No setting reaches it: ${missing.join(", ")}. ` : "";
  const old = answer.run === state.run ? "" : "Read from the run before the one on display. ";
  parts.table.replaceChildren(
    el("p.lead", null, rows.length ? lead : none),
    rows.length
      ? el(
          "p.kinds.caption",
          null,
          "Kept and speed-up are estimated, divergence in nats is exact, a real run is measured.",
        )
      : "",
    table ?? "",
    el(
      "p.aside",
      null,
      `${old}${rest}From ${texts} texts of one prompt: other prompts may differ by more. Estimated as if ` +
        "the text stayed the same. The block rule judges whole blocks and is not among them.",
    ),
  );
}

/** @param {string} name */
function choose(name) {
  goal = name;
  Object.entries(parts.goals).forEach(([key, { label }]) => label.classList.toggle("chosen", key === name));
}

/** @param {string} name */
function option(name) {
  const [before, after, value, title] = GOALS[name];
  const radio = el("input", {
    type: "radio",
    name: "sv-goal",
    "aria-label": `${before} so many ${after}`,
    checked: name === goal,
    onchange: () => choose(name),
  });
  const input = el("input", {
    type: "text",
    inputmode: "decimal",
    value,
    "aria-label": `${before}, ${after}`,
    autocomplete: "off",
    "data-goal": name,
  });
  input.addEventListener("focus", () => {
    radio.checked = true;
    choose(name);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      ask();
    }
  });
  const label = el("label.goal", { title }, radio, el("span", null, before, " ", input, " ", after));
  const error = el("p.error", { role: "alert" });
  parts.goals[name] = { label, input, error };
  return el("div", null, label, error);
}

// The draft length on display is the first choice; the other lets every rule have its own.
function lengths() {
  const drafting = state.run?.trace.lanes.find((lane) => lane.rule);
  const now = drafting && Number.isInteger(drafting.draft_length) ? drafting.draft_length : null;
  const was = parts.length.value;
  parts.length.replaceChildren(
    ...(now ? [el("option", { value: now }, `${now}, as in this run`)] : []),
    el("option", { value: "" }, "as many as is fastest"),
  );
  if (was === "" && parts.asked) parts.length.value = "";
}

export function build() {
  parts.length = el("select", {
    "aria-label": "Tokens drafted per round",
    onchange: () => {
      parts.asked = true;
    },
  });
  parts.button = el(
    "button.plainbutton.outlined",
    { type: "button", onclick: () => (busy ? asking?.stop() : ask()) },
    FIND,
  );
  parts.status = el("p.notice", { role: "status", "aria-live": "polite" });
  parts.error = el("p.error", { role: "alert", "data-advice": "error" });
  parts.table = el("div.answer", { hidden: true });
  parts.box = el(
    "section.advisor",
    { "aria-label": "Which setting should I use?" },
    el("h2", null, "Which setting should I use?"),
    el(
      "p.caption",
      null,
      "Say what you would pay, or what you want to have. Every rule's best knob for texts like these is " +
        "worked out from the run above, and can be held against a real run.",
    ),
    el(
      "div.question",
      null,
      el("div.goals", { role: "radiogroup", "aria-label": "Goal" }, option("spend"), option("accept")),
      el("label.field", null, "Drafting", parts.length),
      parts.button,
    ),
    parts.status,
    parts.error,
    parts.table,
  );
  choose(goal);
  on("run", () => {
    lengths();
    if (answer && answer.run.trace.prompt !== state.run?.trace.prompt) {
      answer = null;
      say("");
    }
    if (!busy) draw();
  });
  on("columns", () => {
    if (answer && !busy) draw();
  });
  return parts.box;
}
