// The keys of the page, and the list of them (key ?).
import { offline } from "specviz/core/boot.js";
import { el, hit } from "specviz/core/dom.js";
import { dialog } from "specviz/parts/dialog.js";
import * as projector from "specviz/shell/projector.js";
import * as tour from "specviz/shell/tour.js";

const KEYS = [
  ["Space", "play or pause; in the tour: go on"],
  ["← →", "a round back or on; in a lane: the token before or behind"],
  ["↑ ↓", "in a lane: the same position in the next lane"],
  ["Home End", "in a lane: its first or last token; on the playhead: start or end"],
  ["Esc", "let go of a token; close what is open"],
  ["T", "the tour"],
  ["F", "projector: two lanes, large tokens, nothing else"],
  ["?", "this list"],
];
if (!offline) KEYS.unshift(["Enter", "in the prompt: run (Shift+Enter breaks the line)"]);

/** @type {HTMLDialogElement | undefined} */
let box;

/** @type {Record<string, () => void>} by key */
const ACTS = { "?": list, f: () => projector.toggle(), t: tour.start };

export function list() {
  box ??= dialog(
    "keys",
    "Keys",
    el("h2", null, "Keys"),
    el(
      "dl.keylist",
      null,
      KEYS.flatMap(([key, words]) => [
        el(
          "dt",
          null,
          key.split(" ").map((one) => el("kbd", null, one)),
        ),
        el("dd", null, words),
      ]),
    ),
  );
  box.showModal();
}

/** @param {KeyboardEvent} event */
function pressed(event) {
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
  if (hit(event, "input, textarea, select, dialog, .menu")) return;
  const act = ACTS[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act();
}

export function build() {
  document.addEventListener("keydown", pressed);
}
