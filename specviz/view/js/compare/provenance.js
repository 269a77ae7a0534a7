// Lights up what a token was copied from, in the lane's text and in the prompt: for the token that is pointed at, or else
// for the selected one.
import { el } from "specviz/core/dom.js";
import { on } from "specviz/core/events.js";
import * as provenance from "specviz/core/provenance.js";
import { onDisplay, pickedToken, shown, state } from "specviz/core/state.js";

/** @type {Token | null} */
let pointed = null;
/** @type {HTMLTextAreaElement} */
let field; // the prompt, and behind it the same text again, unseen, which carries the marks
/** @type {HTMLElement} */
let mirror;

/** @param {Token | null} token */
const known = (token) => token && state.run?.lanes[token.lane]?.tokens[token.key] === token;

function light() {
  document.querySelectorAll(".sv .text .lit, .sv .text .sought").forEach((node) => {
    node.classList.remove("lit", "sought");
  });
  mirror.replaceChildren();
  if (!state.run) return;
  const token = known(pointed) ? pointed : pickedToken();
  const column = token && shown().find(({ lane }) => lane.index === token.lane);
  const from = column && provenance.of(state.run, token);
  if (!from || from.place === null) return;
  const text = document.querySelector(`.sv .text[data-lane="${column.index}"]`);
  provenance.marks(state.run, column.lane, from).forEach(({ key, kind }) => {
    text?.querySelector(`[data-k="${key}"]`)?.classList.add(kind);
  });
  inPrompt(from);
}

/** @param {Provenance} provenance */
function inPrompt({ first, last, matched }) {
  const run = onDisplay();
  if (field.value !== run.trace.prompt) return;
  const ranges = [
    { kind: "sought", range: provenance.inPrompt(run, first - (matched ?? 0), first) },
    { kind: "lit", range: provenance.inPrompt(run, first, last + 1) },
  ];
  let at = 0;
  ranges.forEach(({ kind, range }) => {
    if (!range) return;
    const [from, to] = range;
    mirror.append(field.value.slice(at, from), el(`mark.${kind}`, null, field.value.slice(from, to)));
    at = to;
  });
  if (!at) return;
  mirror.append(field.value.slice(at), "\n");
  mirror.style.right = `${field.offsetWidth - field.clientWidth}px`; // a scroll bar is not written on
  const mark = /** @type {HTMLElement} */ (mirror.lastElementChild);
  const low = mark.offsetTop + mark.offsetHeight;
  if (mark.offsetTop < field.scrollTop || low > field.scrollTop + field.clientHeight)
    field.scrollTop = Math.max(0, mark.offsetTop - field.clientHeight / 2);
  mirror.scrollTop = field.scrollTop;
}

// The prompt with its marks; `textarea` is where it is typed.
/** @param {HTMLTextAreaElement} textarea */
export function around(textarea) {
  field = textarea;
  mirror = el("div.promptmarks", { "aria-hidden": "true", dir: "auto" });
  field.addEventListener("scroll", () => {
    mirror.scrollTop = field.scrollTop;
  });
  field.addEventListener("input", light);
  on("point", (token) => {
    pointed = token;
    light();
  });
  on("pick run columns ended", light);
  return el("div.promptfield", null, mirror, field);
}
