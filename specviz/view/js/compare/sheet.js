// Where the window has no room for the inspector beside the lanes, it is a sheet over the page: from below on a phone,
// from the right on a small desktop. It opens when a person picks a token, and not when the page does.
import { el } from "specviz/core/dom.js";
import { on } from "specviz/core/events.js";
import { pickedToken, state } from "specviz/core/state.js";

const narrow = matchMedia("(max-width: 1180px)");
/** @type {HTMLElement} */
let box;

// Opens it where there is no room beside the lanes, or closes it.
/** @param {boolean} wanted */
export function open(wanted) {
  box.classList.toggle("open", wanted && narrow.matches);
}

// A token whose sheet was closed opens it again when it is tapped.
function close() {
  open(false);
  state.asked = false;
}

// Adds what the sheet needs to the inspector.
/** @param {HTMLElement} inspector */
export function build(inspector) {
  box = el(
    "div.drawer",
    null,
    el(
      "button.iconbutton.drawerclose",
      { type: "button", "aria-label": "Close what is said of the token", onclick: close },
      "×",
    ),
    inspector,
  );
  on("run", () => open(false));
  on("pick", () => {
    if (state.asked || !pickedToken()) open(pickedToken() !== null);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && box.classList.contains("open") && !event.defaultPrevented) close();
  });
  return box;
}
