// A dialog over the page: its head, a cross, and a way out by Escape or by a click beside it.
import { el, inside } from "specviz/core/dom.js";

// It is put into the page, closed; what is in it may be given here or later, see `fill`.
/** @type {(name: string, ...given: [] | [string, any, ...any[]]) => HTMLDialogElement} */
export const dialog = (name, ...given) => {
  const [label, title, ...content] = given;
  const box = el(`dialog.aboutrule.${name}`, null, el("div"));
  box.addEventListener("keydown", (event) => event.stopPropagation()); // the page behind has keys of its own
  box.addEventListener("click", (event) => {
    if (event.target === box) box.close();
  });
  inside(document, ".sv").append(box);
  if (label !== undefined) fill(box, label, title, ...content);
  return box;
};

// What a dialog holds from now on; `title` and what stands beside it are its head.
/**
 * @param {HTMLDialogElement} box
 * @param {string} label
 * @param {any} title
 * @param {...any} content
 */
export function fill(box, label, title, ...content) {
  const close = el("button.iconbutton", { type: "button", "aria-label": "Close", onclick: () => box.close() }, "×");
  box.setAttribute("aria-label", label);
  inside(box, "div").replaceChildren(
    el("div.abouthead", null, title, close),
    ...content.flat(Infinity).filter(Boolean),
  );
}

// Opens a dialog that was filled anew, at its head.
/** @param {HTMLDialogElement} box */
export function open(box) {
  box.showModal();
  box.scrollTop = 0;
}
