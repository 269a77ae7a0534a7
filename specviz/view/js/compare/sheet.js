// Where the window has no room for the inspector beside the lanes, it is a sheet over the page: from below on a phone,
// from the right on a small desktop. It opens when somebody picks a token, and not for the token that a run comes with.
import { el } from "specviz/core/dom.js";
import { on } from "specviz/core/events.js";
import { pickedToken } from "specviz/core/state.js";

const narrow = matchMedia("(max-width: 1180px)");
/** @type {HTMLElement} */
let box;
let fresh = false; // a run has just come on display, with its own token

// Opens it where there is no room beside the lanes, or closes it.
/** @param {boolean} wanted */
export function open(wanted) {
  box.classList.toggle("open", wanted && narrow.matches);
}

// Adds what the sheet needs to the inspector.
/** @param {HTMLElement} inspector */
export function build(inspector) {
  box = el(
    "div.drawer",
    null,
    el(
      "button.iconbutton.drawerclose",
      { type: "button", "aria-label": "Close what is said of the token", onclick: () => open(false) },
      "×",
    ),
    inspector,
  );
  on("run", () => {
    open(false);
    fresh = true;
    setTimeout(() => {
      fresh = false;
    });
  });
  on("pick", () => open(!fresh && pickedToken() !== null));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && box.classList.contains("open") && !event.defaultPrevented) open(false);
  });
  return box;
}
