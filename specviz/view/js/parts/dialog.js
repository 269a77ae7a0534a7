// A dialog over the page: its head, a cross, and a way out by Escape or by a click beside it.
import { el } from "specviz/core/dom.js";

// `title` and what stands beside it are its head; it is put into the page, closed.
export function dialog(name, label, title, ...content) {
  const close = el("button.iconbutton", { type: "button", "aria-label": "Close", onclick: () => box.close() }, "×");
  const box = el(
    `dialog.aboutrule.${name}`,
    { "aria-label": label },
    el("div", null, el("div.abouthead", null, title, close), content),
  );
  box.addEventListener("keydown", (event) => event.stopPropagation()); // the page behind has keys of its own
  box.addEventListener("click", (event) => {
    if (event.target === box) box.close();
  });
  document.querySelector(".sv").append(box);
  return box;
}
