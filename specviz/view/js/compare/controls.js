// What a visitor can set: prompt, sampling, drafter, lanes and their knobs. Nothing here touches a model.
import { boot, defaults, offline } from "specviz/core/boot.js";
import { all, el, set } from "specviz/core/dom.js";
import { emit, on } from "specviz/core/events.js";
import { MAX_LANES, laneOf, ownOf, state } from "specviz/core/state.js";
import { inputs, show } from "specviz/parts/knobs.js";
import * as chat from "specviz/compare/chat.js";
import * as drafter from "specviz/compare/drafter.js";
import { choose } from "specviz/compare/examples.js";
import * as notices from "specviz/compare/notices.js";
import * as provenance from "specviz/compare/provenance.js";
import { start, stop } from "specviz/compare/run.js";

/**
 * @typedef {{
 *   prompt: HTMLTextAreaElement, run: HTMLButtonElement, word: HTMLElement, key: HTMLElement, examples: HTMLElement,
 *   why: HTMLElement, settings: HTMLDetailsElement, fields: Record<string, HTMLInputElement>,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({ fields: {} });

const FIELDS = [
  ["temperature", "Temperature"],
  ["top_k", "Top-k"],
  ["top_p", "Top-p"],
  ["draft_length", "Draft length"],
  ["max_new_tokens", "Tokens"],
  ["seed", "Seed"],
];

// Words that a draft length may be, to choose from or to change; whether a text is one, but for a number behind its colon.
const LENGTHS = "sv-lengths";
/** @param {string} text */
const way = (text) => Object.keys(boot.lengths || {}).some((word) => word.split(":")[0] === text.split(":")[0]);
const lengths = () =>
  el(
    "datalist",
    { id: LENGTHS },
    Object.entries(boot.lengths || {}).map(([word, about]) => el("option", { value: word }, about)),
  );

const LOSSLESS = "The text it writes is distributed exactly as the verifier's.";

/**
 * @param {number} known
 * @param {boolean} lossless
 */
function kinds(known, lossless) {
  const words = [known ? "" : "no knob", lossless ? "lossless" : ""].filter(Boolean).join(", ");
  if (!words) return null;
  return el("span.caption", lossless ? { title: LOSSLESS } : null, `${words[0].toUpperCase()}${words.slice(1)}.`);
}

// The knobs of a lane: its rule's, and behind them those of its own drafter.
/**
 * @param {Column} column
 * @param {number} index
 * @param {Node | null} [drafting]
 */
export function knobs(column, index, drafting) {
  const { knobs: known = [], lossless = false } = boot.rules[column.rule] ?? {};
  const change = () => {
    notices.error(`lane${index}`, "");
    emit("whatif", index);
    emit("settings");
  };
  return el(
    "div.knobs",
    { "data-knobs": index },
    inputs(column.rule, known, column.knobs, change),
    kinds(known.length, lossless),
    drafting,
  );
}

/**
 * @param {number} index
 * @param {string} rule
 */
export function setRule(index, rule) {
  const column = state.columns[index];
  column.rule = rule;
  column.knobs = defaults(rule);
  const lane = laneOf(column);
  if (lane) column.knobs = { ...lane.knobs };
  emit("columns");
  all(document, ".sv .lanehead select")[index]?.focus();
}

/** @param {number} index */
export function resetKnobs(index) {
  const column = state.columns[index];
  const lane = laneOf(column);
  if (lane) column.knobs = { ...lane.knobs };
  emit("columns");
}

/** @param {number} index */
export function removeLane(index) {
  if (state.columns.length < 2) return;
  state.columns.splice(index, 1);
  emit("columns");
}

export function addLane() {
  if (state.columns.length >= MAX_LANES) return;
  const used = state.columns.map((column) => column.rule);
  const rule = boot.openings.nextLanes.find((name) => boot.rules[name] && !used.includes(name)) ?? used[0];
  const from = state.run ? state.run.lanes.findIndex((lane) => lane.rule === rule) : -1;
  const lane = state.run?.lanes[from] ?? null;
  state.columns.push({
    rule,
    knobs: lane ? { ...lane.knobs } : defaults(rule),
    drafter: lane && ownOf(lane),
    from: lane ? from : null,
  });
  emit("columns");
  all(document, ".sv .lanehead select")[state.columns.length - 1]?.focus();
}

// What a field holds: a number, or else the text as it was typed.
/** @param {string} name */
function typed(name) {
  const given = parts.fields[name].value.trim();
  return given !== "" && Number.isFinite(Number(given)) ? Number(given) : given;
}

// What goes to Python; numbers that are no numbers go as they were typed, and come back as a sentence.
export function settings() {
  const form = { pair: state.form.pair, prompt: parts.prompt.value, ...chat.settings() };
  const fields = Object.fromEntries(FIELDS.map(([name]) => [name, typed(name)]));
  const lanes = state.columns.map(({ rule, knobs, drafter }) => ({
    rule: rule === "plain" ? null : rule,
    knobs,
    ...(drafter && rule !== "plain" ? { drafter } : {}),
  }));
  return /** @type {RunRequest} */ ({ ...form, ...fields, drafter: state.form.drafter, lanes });
}

// The same with a plain lane behind the others, to measure the speed-up against.
export function request() {
  const wanted = settings();
  const plain = wanted.lanes.some((lane) => lane.rule === null);
  return { ...wanted, lanes: state.withPlain && !plain ? [...wanted.lanes, { rule: null, knobs: {} }] : wanted.lanes };
}

// `more` overrides the form, to go on from a place in an earlier run.
export function run(more = {}) {
  start({ ...request(), ...more }, settings);
}

function compareDrafters() {
  if (state.live) return notices.notice("A run is going on. Stop it first.");
  state.columns = drafter.columns();
  state.front = 0;
  emit("columns");
  run();
}

// The form as the state says it.
function fill() {
  const { form } = state;
  parts.prompt.value = form.prompt;
  grow();
  FIELDS.forEach(([name]) => fit(name, form[name]));
  chat.draw();
  drafter.draw();
  examples();
}

// What is wrong with what a field holds, in a sentence; empty if nothing is. Python has the last word.
/** @param {string} name */
function refusal(name) {
  const given = parts.fields[name].value.trim();
  const known = (boot.settings || []).find((knob) => knob.name === name);
  if (!known?.allowed || (name === "draft_length" && way(given))) return "";
  const { low, high, open_low: open, type, allowed } = known;
  const value = Number(given);
  const wrong =
    given === "" ||
    !Number.isFinite(value) ||
    (type === "int" && !Number.isInteger(value)) ||
    (low !== null && (value < low || (open && value === low))) ||
    (high !== null && value > high);
  const label = FIELDS.find(([field]) => field === name)?.[1];
  return wrong
    ? `${label} must be ${type === "int" ? "a whole number, " : ""}${allowed}; got ${given || "nothing"}.`
    : "";
}

// While the prompt is not that of the lanes, they say whose they are.
function aside() {
  const { run } = state;
  const other = run !== null && !state.live && parts.prompt.value !== run.trace.prompt;
  document.querySelector(".sv .lanes")?.classList.toggle("aside", other);
  const words = run?.trace.prompt.trim().split("\n")[0] ?? "";
  if (other)
    notices.notice(`The lanes show an earlier prompt: “${words.length > 60 ? `${words.slice(0, 60)}…` : words}”`);
  else if (said) notices.notice("");
  said = other;
}
let said = false;

// A value in its field; a word takes more room.
/**
 * @param {string} name
 * @param {number | string} value
 */
function fit(name, value) {
  parts.fields[name].value = show(value);
  resize(name);
}

/** @param {string} name */
function resize(name) {
  const held = typed(name);
  parts.fields[name].classList.toggle("word", typeof held === "string" && held !== "");
}

// A setting put into its field by the page.
/**
 * @param {string} name
 * @param {number | string} value
 */
export function put(name, value) {
  state.form[name] = value;
  fit(name, value);
  notices.error(name, "");
}

function grow() {
  const area = parts.prompt;
  area.style.height = "0";
  area.style.height = `${Math.min(230, Math.max(46, area.scrollHeight))}px`;
}

function examples() {
  const current = state.form.prompt;
  all(parts.examples, "button").forEach((button) =>
    button.setAttribute("aria-pressed", String(button.dataset.text === current)),
  );
  const chosen = current && boot.prompts.find((one) => one.text === current);
  const about = chosen ? [chosen.why, chosen.expected && `Expected answer: ${chosen.expected}.`] : null;
  const other = about || offline ? null : chat.other(current);
  parts.why.classList.remove("unfolded");
  parts.why.replaceChildren(
    ...(about ? [el("span", null, about.filter(Boolean).join(" "))] : []),
    ...(other ? [el("span", null, other.words), " ", other.button] : []),
  );
}

// `models`: the choice of the models, which stands in the line under the prompt.
/** @param {HTMLElement} models */
export function build(models) {
  parts.prompt = el("textarea", {
    rows: 1,
    id: "sv-prompt",
    "aria-label": "Prompt",
    placeholder: "Write a prompt, or choose an example below",
    spellcheck: "false",
    dir: "auto",
  });
  parts.prompt.addEventListener("input", () => {
    grow();
    state.form.prompt = parts.prompt.value;
    examples();
    notices.error("prompt", "");
    aside();
  });
  parts.prompt.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.altKey || offline) return;
    event.preventDefault(); // Shift+Enter breaks the line
    if (!state.live) run();
  });
  parts.run = el(
    "button.run",
    { type: "button", onclick: () => (state.live ? stop() : run()) },
    (parts.word = el("span", null, "Run")),
    (parts.key = el("kbd", { "aria-hidden": "true" }, "↵")),
  );
  parts.examples = el(
    "div.examples",
    { role: "group", "aria-label": "Example prompts" },
    boot.prompts.map((one, i) => [
      one.pair !== boot.prompts[0].pair && one.pair !== boot.prompts[i - 1].pair
        ? el("span.caption", null, `${boot.pairs.find((pair) => pair.name === one.pair)?.title}:`)
        : null,
      el(
        "button",
        { type: "button", "data-text": one.text, title: one.why || "", onclick: () => choose(one) },
        one.name,
      ),
    ]),
  );
  // In a small window it is one line, which a tap unfolds.
  parts.why = el("p.caption.why", { onclick: () => parts.why.classList.toggle("unfolded") });
  const asking = chat.build();
  const proposing = drafter.build(compareDrafters);
  parts.settings = el(
    "details.settingsbox",
    { open: !matchMedia("(max-width: 1180px)").matches },
    el("summary", null, "Settings"),
    el(
      "div.settings",
      null,
      FIELDS.flatMap(([name, label]) => {
        const help = (boot.settings || []).find((knob) => knob.name === name)?.help;
        parts.fields[name] = el("input", {
          type: "text",
          inputmode: "decimal",
          "aria-label": label,
          list: name === "draft_length" ? LENGTHS : null,
          autocomplete: "off",
          class: name === "seed" ? "wide" : null,
          "data-field": name,
        });
        parts.fields[name].addEventListener("input", () => {
          state.form[name] = typed(name); // so that it outlasts models that arrive meanwhile
          resize(name);
          notices.error(name, "");
        });
        parts.fields[name].addEventListener("change", () => notices.error(name, refusal(name)));
        const field = el("label.field", { title: help }, label, parts.fields[name]);
        return name === "draft_length" ? [proposing.box, proposing.about, field, lengths()] : field;
      }),
      asking.style,
    ),
  );
  document.addEventListener("keydown", (event) => {
    if (
      event.key === "Enter" &&
      (event.ctrlKey || event.metaKey) &&
      !event.defaultPrevented &&
      !state.live &&
      !offline
    ) {
      event.preventDefault();
      run();
    }
  });
  on("run form", fill);
  on("running", running);
  on("run", aside);
  if (offline) {
    // a replay shows what was set, and sets nothing
    parts.prompt.readOnly = true;
    Object.values(parts.fields).forEach((field) => {
      field.readOnly = true;
    });
  }
  return el(
    "form.ask",
    {
      onsubmit: (e) => {
        e.preventDefault();
      },
    },
    el("div.promptbox", null, provenance.around(parts.prompt), offline ? null : parts.run),
    el("p.error", { role: "alert", "data-error": "prompt" }),
    el("p.notice.promptnotice", { role: "status", "aria-live": "polite" }),
    el("div.underprompt", null, parts.examples, parts.settings, asking.system, models),
    el("p.error.settingserror", { role: "alert" }),
    proposing.error,
    parts.why,
  );
}

/** @param {boolean} going */
function running(going) {
  set(parts.word, going ? "Stop" : "Run");
  set(parts.key, going ? "" : "↵");
  parts.run.setAttribute("aria-label", going ? "Stop the run" : "Run");
}
