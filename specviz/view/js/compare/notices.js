// Sentences of Compare: what went wrong, beside the control it belongs to, and what is going on.
import { all, el, set } from "specviz/core/dom.js";

/** @param {string} selector */
const find = (selector) => all(document, `.sv ${selector}`)[0] ?? null;

// A sentence beside its control, or else beside the prompt; an empty one takes it away.
/**
 * @param {string} field
 * @param {string} sentence
 */
export function error(field, sentence) {
  const control = find(`[data-field="${field}"]`);
  const place = find(`[data-error="${field}"]`) || find(control ? ".settingserror" : '[data-error="prompt"]');
  set(place, sentence);
  if (control) {
    control.closest(".field")?.classList.toggle("bad", Boolean(sentence));
    control.setAttribute("aria-invalid", String(Boolean(sentence)));
  }
  if (sentence && field === "prompt") find("#sv-prompt").setAttribute("aria-invalid", "true");
}

export function clearErrors() {
  all(document, ".sv [data-error], .sv .settingserror").forEach((node) => set(node, ""));
  all(document, ".sv .field.bad").forEach((node) => node.classList.remove("bad"));
  all(document, ".sv [aria-invalid]").forEach((node) => node.removeAttribute("aria-invalid"));
}

// What is going on, in the line under the prompt; with a button to stop it, if it can be.
/**
 * @param {string} words
 * @param {(() => void) | null} stop
 */
export function notice(words, stop = null) {
  const line = find(".promptnotice");
  set(line, words);
  if (stop) line.append(" ", el("button.plainbutton.outlined", { type: "button", onclick: stop }, "Stop"));
}
