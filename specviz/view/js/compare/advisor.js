// Which setting should I use? The server reads the run's texts once more; here its answer becomes a table, a row of
// which can be put to use or held against a real run.
import { el, inside, set } from "specviz/core/dom.js";
import { emit, on } from "specviz/core/events.js";
import { finite, fixed } from "specviz/core/formats.js";
import * as live from "specviz/core/live.js";
import * as pairs from "specviz/core/pairs.js";
import { ownOf, state } from "specviz/core/state.js";
import * as drafters from "specviz/core/drafters.js";
import * as advice from "specviz/compare/advice.js";
import * as controls from "specviz/compare/controls.js";

// What may be asked: its words around a number, where it has one, and more on hover; `asks`: the kind of question, and
// what its rows are about; `busy`: what is said meanwhile.
const RULES_BUSY =
  "The models read the texts once more, then every rule is tried at some thirty settings: a few seconds.";
/**
 * @type {Record<string, {
 *   words: string[], value?: string, title: string, asks: string, subject: advice.Subject, busy: string,
 *   lead: (value: number | string) => string,
 * }>}
 */
const GOALS = {
  spend: {
    words: ["Spend at most", "nats per token"],
    value: "0.05",
    title:
      "How far the written text may stray from what the verifier would have written: the mean KL of the " +
      "output law from the verifier, per judged token.",
    asks: "advise",
    subject: advice.SUBJECTS.rules,
    busy: RULES_BUSY,
    lead: (value) => `At most ${value} nats per token, fastest first`,
  },
  accept: {
    words: ["Keep at least", "tokens per round"],
    value: "2",
    title: "Drafted tokens kept per look of the verifier; the one it always adds is not counted.",
    asks: "advise",
    subject: advice.SUBJECTS.rules,
    busy: RULES_BUSY,
    lead: (value) => `At least ${value} kept per round, least divergence first`,
  },
  drafters: {
    words: ["The fastest drafter for texts like these"],
    title: "Who should propose the tokens, and how many at a time, if nothing may be lost: under the rule sps.",
    asks: "drafters",
    subject: advice.SUBJECTS.drafters,
    busy: "The forwards of the models are timed, then every drafter drafts along the texts again.",
    lead: () => "Under sps, which loses nothing: fastest first",
  },
  shapes: {
    words: ["A chain or a tree of candidates"],
    title: "What the draft model should draft, and of how many nodes, if nothing may be lost: under the rule sps.",
    asks: "shapes",
    subject: advice.SUBJECTS.shapes,
    busy: "Short runs of a wide tree on this prompt tell how often each candidate is kept; then the forwards are timed: half a minute.",
    lead: () => "Under sps, which loses nothing: fastest first",
  },
};
const FIND = "Find settings";
/**
 * @typedef {{
 *   length: HTMLSelectElement, drafting: HTMLElement, asked: boolean, button: HTMLButtonElement, status: HTMLElement, error: HTMLElement,
 *   table: HTMLElement, box: HTMLElement,
 *   goals: Record<string, { label: HTMLElement, input: HTMLInputElement | null, error: HTMLElement }>,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({ goals: {} });
let goal = "spend";
/**
 * @typedef {{ goal: string, value: number | string, fixedLength: boolean, subject: advice.Subject, trace: string, run: Run }} Asked
 * @typedef {{ rows: advice.Row[], missing: string[], texts: number, left?: string[], positions?: number, chances?: number[] }} Given
 */
/** @type {(Given & Asked) | null} */
let answer = null;
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
    if (here) input?.setAttribute("aria-invalid", "true");
    else input?.removeAttribute("aria-invalid");
  });
  set(parts.error, parts.goals[field] ? "" : error);
  return null;
}

// A question to the server; null when there is no answer, which has then been said. `part` gets answers that are not
// whole yet.
/**
 * @param {string} kind
 * @param {string | null} pair
 * @param {object} question
 * @param {(part: Given) => void} [part]
 */
async function server(kind, pair, question, part) {
  if (!live.wire()) return say("", "The page is still connecting. Try again in a moment.");
  asking = live.ask(kind, pair, question, say, part);
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
  lock();
}

// While a question is asked, only its Stop can be pressed.
function lock() {
  for (const button of parts.box.querySelectorAll("button"))
    if (busy && button !== parts.button) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
}

async function ask() {
  if (busy) return;
  if (!state.run || !state.raw || state.live) return say("", "This run has not ended yet.");
  const { asks, busy: words, subject } = GOALS[goal];
  const given = parts.goals[goal].input?.value.trim() ?? "";
  const value = given !== "" && Number.isFinite(Number(given)) ? Number(given) : given;
  const fixedLength = parts.length.value !== "";
  const asked = { goal, value, fixedLength, subject, trace: state.raw, run: state.run };
  working(true);
  say(words);
  const question = { trace: asked.trace, goal, value, draft_length: fixedLength ? Number(parts.length.value) : null };
  const whole = await server(asks, pairs.made(asked.run.trace), question, (part) => {
    take(part, asked);
    say(soFar(part));
  });
  working(false);
  if (whole) {
    take(whole, asked);
    say("");
  } else if (answer?.left?.length) {
    if (!answer.rows.length) answer = null;
    draw(); // what is complete stays
  }
}

/**
 * @param {Given} given
 * @param {Asked} asked
 */
function take(given, asked) {
  const rows = given.rows.map((row) => ({ ...row, kl: /** @type {number} */ (finite(row.kl)) }));
  if (asked.goal === "accept") rows.sort((one, other) => one.kl - other.kl || other.speedup - one.speedup);
  answer = { ...given, ...asked, rows };
  draw();
}

/** @param {Given} part */
function soFar({ rows, left = [] }) {
  return left.length ? `${rows.length} of ${rows.length + left.length} drafters are read. Now: ${left[0]}.` : "";
}

/** @param {advice.Row} row */
function use(row) {
  if (!answer) return;
  if (state.live || busy) return say("", "A run is going on. Wait for its end.");
  const { subject } = answer;
  const where = subject === advice.SUBJECTS.rules ? useRule(row) : useDrafter(row);
  inside(parts.table, `[data-row="${subject.name(row)}"] .try`)?.focus({ preventScroll: true });
  say(`${subject.label(row)} is in ${where} now, drafting ${row.draft_length}. Press Run to see it write.`);
}

/** @param {advice.Row} row */
function useRule(row) {
  const { index } = advice.target(row);
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
  return `lane ${index + 1}`;
}

/** @param {advice.Row} row */
function useDrafter(row) {
  state.form.drafter = drafters.parse(row.drafter);
  state.columns.forEach((column) => {
    column.drafter = null;
  });
  state.form.draft_length = row.draft_length;
  emit("form");
  emit("columns");
  return "all lanes";
}

/** @param {advice.Row} row */
async function tryOut(row) {
  if (!answer) return;
  if (busy || state.live) return state.live ? say("", "A run is going on. Wait for its end.") : undefined;
  row.attempt = (row.attempt || 0) + 1;
  const { run, trace, subject } = answer;
  working(true);
  say(`Running ${subject.label(row)} on the same prompt with another seed…`);
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
  inside(parts.table, `[data-row="${subject.name(row)}"] .try`)?.focus();
}

function draw() {
  parts.table.hidden = !answer || (!answer.rows.length && busy);
  if (!answer || parts.table.hidden) return parts.table.replaceChildren();
  const { rows, subject, value } = answer;
  const exact = subject === advice.SUBJECTS.rules ? "divergence in nats is exact, " : "";
  parts.table.replaceChildren(
    el("p.lead", null, rows.length ? GOALS[answer.goal].lead(value) : "No setting of any rule reaches this. "),
    ...(rows.length
      ? [
          el("p.kinds.caption", null, `Kept and speed-up are estimated, ${exact}a real run is measured.`),
          advice.table(answer, { check: tryOut, use }),
        ]
      : []),
    el("p.aside", null, asides(answer)),
  );
  if (busy) lock();
}

// What holds for the whole answer.
/** @param {Given & Asked} answer */
function asides({ rows, missing, texts, subject, left = [], positions, chances = [], run }) {
  const old = run === state.run ? "" : "Read from the run before the one on display. ";
  if (subject === advice.SUBJECTS.drafters) {
    const unread = left.length && !busy ? `Not read: ${left.join(", ")}. ` : "";
    const unable = missing.length ? `Not with these models: ${missing.join(", ")}. ` : "";
    return (
      `${old}${unread}${unable}From at most ${positions} tokens of ${texts} texts of one prompt, each drafter at its own ` +
      "defaults: other prompts may differ by more, most of all for drafters that copy. Drafters of trees are not among them."
    );
  }
  if (subject === advice.SUBJECTS.shapes) {
    const each = chances.map((chance) => `${Math.round(100 * chance)} %`).join(", ");
    const ranks = chances.length
      ? `The first, the second, … candidate for a place was the one kept in ${each} of cases. `
      : "";
    return (
      `${old}${ranks}Measured in eight short runs on this prompt; the dynamic tree in runs of its own. The best tree is that of ` +
      "Sequoia’s program for these chances and the times of the forwards here and now."
    );
  }
  const rest = rows.length && missing.length ? `No setting reaches it: ${missing.join(", ")}. ` : "";
  return (
    `${old}${rest}From ${texts} texts of one prompt: other prompts may differ by more. Estimated as if ` +
    "the text stayed the same. The block rule judges whole blocks and is not among them."
  );
}

/** @param {string} name */
function choose(name) {
  goal = name;
  parts.drafting.hidden = name === "shapes"; // which has lengths of its own
  Object.entries(parts.goals).forEach(([key, { label }]) => label.classList.toggle("chosen", key === name));
}

/** @param {string} name */
function option(name) {
  const { words, title, value } = GOALS[name];
  const radio = el("input", {
    type: "radio",
    name: "sv-goal",
    "aria-label": words.join(" so many "),
    checked: name === goal,
    onchange: () => choose(name),
  });
  const input = value ? number(name, radio) : null;
  const [before, after] = words;
  const label = el(
    "label.goal",
    { title },
    radio,
    el("span", null, before, ...(input ? [" ", input, " ", after] : [])),
  );
  const error = el("p.error", { role: "alert" });
  parts.goals[name] = { label, input, error };
  return el("div", null, label, error);
}

// The number of a goal, which chooses that goal.
/**
 * @param {string} name
 * @param {HTMLInputElement} radio
 */
function number(name, radio) {
  const input = el("input", {
    type: "text",
    inputmode: "decimal",
    value: GOALS[name].value,
    "aria-label": GOALS[name].words.join(", "),
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
  return input;
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
  parts.drafting = el("label.field", null, "Drafting", parts.length);
  parts.button = el(
    "button.plainbutton.outlined",
    { type: "button", onclick: () => (busy ? asking?.stop() : ask()) },
    FIND,
  );
  parts.status = el("p.notice", { role: "status", "aria-live": "polite" });
  parts.error = el("p.error", { role: "alert", "data-advice": "error" });
  parts.table = el("div.advised", { hidden: true });
  parts.box = el(
    "section.advisor",
    { "aria-label": "Which setting should I use?" },
    el("h2", null, "Which setting should I use?"),
    el(
      "p.caption",
      null,
      "Say what you would pay, or what you want to have. Every rule's best knob for texts like these, or who drafts them " +
        "best, is worked out from the run above, and can be held against a real run.",
    ),
    el(
      "div.question",
      null,
      el("div.goals", { role: "radiogroup", "aria-label": "Goal" }, Object.keys(GOALS).map(option)),
      parts.drafting,
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
  on("columns form settings", () => {
    if (answer && !busy) draw();
  });
  return parts.box;
}
