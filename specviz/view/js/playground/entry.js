// Names and numbers of the tokens, to type in.
import { el, set } from "specviz/core/dom.js";
import { heads, unseen } from "specviz/parts/heads.js";
import { KINDS } from "specviz/playground/column.js";
import * as drag from "specviz/playground/drag.js";
import * as play from "specviz/playground/play.js";
import { state } from "specviz/playground/play.js";

/** @typedef {import("specviz/playground/drag.js").Kind} Kind */
/** @typedef {{ name: HTMLInputElement, numbers: HTMLInputElement[], cut: HTMLButtonElement, node: HTMLElement }} Row */
/** @typedef {{ rows: Row[], body: HTMLElement, error: HTMLElement, table: HTMLDetailsElement }} Parts */
const parts = /** @type {Parts} */ (/** @type {Partial<Parts>} */ ({ rows: [] }));

// A sentence under the bars; an empty one takes it away.
/** @param {string} sentence */
export const say = (sentence) => set(parts.error, sentence);

/** @param {number} i */
function row(i) {
  const name = el("input.name", {
    type: "text",
    dir: "auto",
    "aria-label": `Name of token ${i + 1}`,
    autocomplete: "off",
    spellcheck: "false",
    onchange: (event) => say(play.rename(i, event.currentTarget.value)),
  });
  const numbers = KINDS.map((kind) =>
    el("input", {
      type: "text",
      inputmode: "decimal",
      "aria-label": `${kind} probability of token ${i + 1}`,
      autocomplete: "off",
      onchange: (event) => type(kind, i, event.currentTarget),
    }),
  );
  const cut = el(
    "button.iconbutton",
    { type: "button", "aria-label": `Remove token ${i + 1}`, onclick: () => say(play.removeToken(i)) },
    "×",
  );
  const cells = [name, ...numbers, cut].map((control) => el("td", null, control));
  return { name, numbers, cut, node: el("tr", null, cells) };
}

/**
 * @param {HTMLInputElement} input
 * @param {string} text
 */
function show(input, text) {
  if (document.activeElement !== input && input.value !== text) input.value = text;
}

// Brings an open table to what the state holds.
export function fill() {
  if (!parts.table.open) return;
  if (parts.rows.length !== state.names.length) {
    parts.rows = state.names.map((_, i) => row(i));
    parts.body.replaceChildren(...parts.rows.map(({ node }) => node));
  }
  parts.rows.forEach(({ name, numbers, cut }, i) => {
    show(name, state.names[i]);
    KINDS.forEach((kind, k) => show(numbers[k], String(+state[kind][i].toPrecision(4))));
    cut.disabled = state.names.length <= 2;
  });
}

/**
 * @param {Kind} kind
 * @param {number} index
 * @param {HTMLInputElement} input
 */
function type(kind, index, input) {
  const text = input.value.trim().replace(",", ".");
  const value = /^[\d.]+\s*%$/.test(text) ? Number.parseFloat(text) / 100 : text === "" ? NaN : Number(text);
  if (!(value >= 0 && value <= 1)) {
    input.setAttribute("aria-invalid", "true");
    return say(
      "A probability is a number from 0 to 1; " +
        `${text ? "this one is not, so nothing was changed" : "nothing was typed"}.`,
    );
  }
  input.removeAttribute("aria-invalid");
  say("");
  drag.put(kind, index, value);
  input.value = String(+state[kind][index].toPrecision(4));
  return play.changed("end");
}

// The table, folded, and what is said of what was typed.
export function build() {
  parts.error = el("p.error", { role: "alert" });
  parts.body = el("tbody");
  parts.table = el(
    "details.names",
    { ontoggle: fill },
    el("summary", null, "Names and numbers"),
    el("table.entry", null, heads("token", "draft", "verifier", unseen("remove")), parts.body),
    el("p.caption", null, "Type one number and the others of its distribution rescale, so that it sums to 1."),
  );
  return [parts.error, parts.table];
}
