// Links, traces in and out, and the replay file.
import { boot, offline } from "specviz/core/boot.js";
import { encode, without } from "specviz/core/codes.js";
import * as continued from "specviz/core/continued.js";
import { all, download, el, inside, pause, set } from "specviz/core/dom.js";
import { emit } from "specviz/core/events.js";
import * as live from "specviz/core/live.js";
import * as pairs from "specviz/core/pairs.js";
import { onDisplay, pick, setTime, show, state } from "specviz/core/state.js";
import * as controls from "specviz/compare/controls.js";
import * as notices from "specviz/compare/notices.js";
import * as timeline from "specviz/compare/timeline.js";
import { open as openCode } from "specviz/shell/code.js";

/** @typedef {[title: string, words: string, act: (button: HTMLElement) => void]} Item of a menu */

/** @type {HTMLInputElement} */
let file;

// Selection and playhead of a link, once its run is on display, and what of the link was left out.
/** @param {Wanted} wanted */
export function restore(wanted) {
  if (wanted.costs) {
    state.costs = wanted.costs;
    emit("costs");
  }
  if (wanted.at !== null && state.run) setTime(wanted.at * state.run.span);
  const there = wanted.pick && state.run?.lanes[wanted.pick[0]]?.tokens[wanted.pick[1]];
  if (there) pick(there.lane, there.key, false);
  const ignored = [...wanted.ignored, ...(wanted.pick && state.run && !there ? ["selection"] : [])];
  if (ignored.length) notices.notice(without(ignored));
}

export function link() {
  const settings = controls.settings();
  /** @type {Record<string, unknown>} */
  const value = { v: 1, ...settings };
  const origin = continued.origin(state.run);
  if (origin && settings.prompt === state.run?.trace.prompt && state.form.style === state.run.trace.style)
    Object.assign(value, { continued: origin, style: state.form.style });
  if (state.costs) value.costs = state.costs;
  if (state.picked) value.pick = [state.picked.lane, state.picked.key];
  // Seconds are another machine's own.
  if (state.run && state.time < state.run.span) value.at = state.time / state.run.span;
  return `${location.href.split("#")[0]}#run=${encode(value)}`;
}

/** @param {HTMLElement} button */
async function copyLink(button) {
  const url = link();
  history.replaceState(null, "", url);
  try {
    await navigator.clipboard.writeText(url);
    flash(button, "Link copied");
  } catch {
    flash(button, "Link is in the address bar");
  }
}

/**
 * @param {HTMLElement} button
 * @param {string} words
 */
function flash(button, words) {
  const label = all(button, "span")[0] ?? button;
  const was = button.dataset.label || (label.textContent ?? "");
  button.dataset.label = was;
  set(label, words);
  setTimeout(() => set(label, was), 1800);
}

// The trace as Python wrote it. A run that is still going has none yet.
function json() {
  if (!state.raw) throw new Error("This run has not ended yet.");
  return state.raw;
}

function saveTrace() {
  if (state.raw) download("specviz-trace.json", json(), "application/json");
  else notices.notice("This run has not ended yet.");
}

// A file that the server makes of the run: `specviz.exports` has one for each name.
/**
 * @param {string} name
 * @param {HTMLElement} button
 */
async function saveExport(name, button) {
  if (!state.raw || !live.wire()) return notices.notice("This run has not ended yet.");
  flash(button, "Packing…");
  const made = await live.call("export", JSON.stringify({ name, trace: json() }));
  if (made.error) return notices.notice(made.error);
  download(
    made.file,
    Uint8Array.from(atob(made.data), (char) => char.charCodeAt(0)),
    made.type,
  );
}

/** @type {Record<string, number>} along a menu, by key */
const STEPS = { ArrowDown: 1, ArrowUp: -1 };
const LARGEST = 100_000_000; // bytes of a trace that is worth reading
const UNREADABLE = "This file is too large or cannot be read.";

/** @param {File} given */
async function open(given) {
  notices.clearErrors();
  try {
    if (given.size > LARGEST) throw new Error();
    await imported(await given.text(), given.name);
  } catch {
    notices.error("prompt", UNREADABLE);
  }
}

// Opens the trace at an address, which is asked as a stranger: without cookies, and without saying where from.
/** @param {URL} url */
export async function openAt(url) {
  notices.notice(`Fetching the trace from ${url.host}…`);
  try {
    const answer = await fetch(url, { credentials: "omit", referrerPolicy: "no-referrer" });
    if (!answer.ok || Number(answer.headers.get("content-length")) > LARGEST) throw new Error();
    await imported(await bounded(answer), url.pathname.split("/").pop() || url.host);
  } catch {
    notices.notice("");
    notices.error(
      "prompt",
      `The trace at ${url.host} could not be fetched: nothing of at most 100 MB is there for other pages to read.`,
    );
  }
}

// The text of an answer, read no further than a trace may be long.
/** @param {Response} answer */
async function bounded(answer) {
  if (!answer.body) throw new Error();
  const reader = answer.body.getReader();
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const parts = [];
  for (let length = 0; ;) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts).text();
    parts.push(value);
    length += value.length;
    if (length > LARGEST) {
      reader.cancel();
      throw new Error();
    }
  }
}

// Shows the trace in a text, once the server has checked it.
/**
 * @param {string} text
 * @param {string} name
 */
async function imported(text, name) {
  await pause();
  if (!live.wire()) return notices.error("prompt", "The page is still connecting. Try again in a moment.");
  const answer = await live.call("check", text);
  notices.notice("");
  if (answer.error) return notices.error("prompt", answer.error);
  const trace = JSON.parse(text);
  await pause();
  timeline.pause();
  show(trace, "imported", text);
  setTime(Infinity);
  notices.notice(`Imported ${name}. Nothing was run.`);
}

function verify() {
  if (!state.raw || !live.wire()) return;
  let stopped = false;
  const stop = () => {
    stopped = true;
    live.stop(run);
    notices.notice("Stopping…");
  };
  const run = live.begin("verify", { trace: json(), pair: pairs.made(onDisplay().trace) }, (message) => {
    if (message.kind === "wait") return notices.notice(`Re-running to verify: ${message.message}`, stop);
    notices.notice(message.same || stopped ? message.message : "");
    if (!message.same && !stopped) notices.error("prompt", message.message);
  });
  notices.notice("Re-running to verify…", stop);
}

/**
 * @param {string} name
 * @param {Item[]} items
 */
function menu(name, items) {
  const box = el("div", { hidden: true, role: "menu", "aria-label": name });
  const button = el("button.plainbutton", { type: "button", "aria-haspopup": "menu", "aria-expanded": "false" }, name);
  /** @param {boolean} on */
  const toggle = (on) => {
    box.hidden = !on;
    button.setAttribute("aria-expanded", String(on));
    if (on) inside(box, "button").focus();
  };
  button.addEventListener("click", () => toggle(Boolean(box.hidden)));
  items.forEach(([title, words, act]) =>
    box.append(
      el(
        "button",
        {
          type: "button",
          role: "menuitem",
          onclick: (event) => {
            act(event.currentTarget);
            setTimeout(() => toggle(false), 900);
          },
        },
        el("span", null, title),
        el("small", null, words),
      ),
    ),
  );
  const holder = el("div.menu", null, button, box);
  document.addEventListener("pointerdown", (event) => {
    if (!(event.target instanceof Node && holder.contains(event.target))) toggle(false);
  });
  holder.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      toggle(false);
      button.focus();
    }
    const step = STEPS[event.key];
    if (!step || box.hidden) return;
    event.preventDefault();
    const buttons = all(box, "button");
    const at = buttons.findIndex((one) => one === document.activeElement);
    buttons[(at + step + buttons.length) % buttons.length].focus();
  });
  return holder;
}

export function build() {
  file = el("input", {
    type: "file",
    accept: ".json,application/json",
    class: "sr",
    tabindex: -1,
    "aria-label": "Open a trace",
    id: "sv-file",
  });
  file.addEventListener("change", () => {
    const [chosen] = file.files ?? [];
    if (chosen) open(chosen);
    file.value = "";
  });
  /** @type {Item} */
  const code = ["Code", offline ? "As Python and a command" : "As Python, gradio_client, curl and a command", openCode];
  /** @type {Item} */
  const trace = ["Trace", "The whole run as JSON", saveTrace];
  if (offline) return [menu("Export", [trace, code])];
  /** @type {Item[]} */
  const exported = boot.exports.map(({ name, summary }) => [
    name[0].toUpperCase() + name.slice(1),
    summary.replace(/\.$/, ""),
    (button) => saveExport(name, button),
  ]);
  return [
    menu("Share", [["Copy link", "Settings, seed, selection and playhead", copyLink]]),
    menu("Export", [...exported, trace, code]),
    menu("Open", [
      ["Open a trace", "Shows a saved run. Nothing is run", () => file.click()],
      ["Re-run and verify", "Does the run on display reproduce here?", verify],
    ]),
    file,
  ];
}
