// The places in the head of the page: Compare, which is there from the start, and those that app.js adds. One is open
// at a time, and has a part of the address to itself, as in #play=...
// A place is
//   {words, key, page, pack() -> text for the address, unpack(text), opened(), closed()}
import { el, inside, set } from "specviz/core/dom.js";
import { on } from "specviz/core/events.js";
import { state } from "specviz/core/state.js";
import * as card from "specviz/parts/card.js";
import * as timeline from "specviz/compare/timeline.js";

/** @type {Place[]} */
const places = [];
/** @typedef {{  root: HTMLElement, compare: HTMLElement, nav: HTMLElement, copy: HTMLButtonElement }} Parts */
const parts = /** @type {Parts} */ ({});
/** @type {Place | null} */
let now = null; // the place that is open; null is Compare
let resume = false;

// The address with a place's own part, whatever else is in the hash left as it was.
/** @param {Place | null} place */
function address(place) {
  const others = location.hash
    .replace(/^#/, "")
    .split("&")
    .filter((part) => part && !places.some(({ key }) => part === key || part.startsWith(`${key}=`)));
  const all = place ? [...others, `${place.key}=${place.pack()}`] : others;
  return `${location.pathname}${location.search}${all.length ? `#${all.join("&")}` : ""}`;
}

// Keeps the address in step with the place that is open.
function remember() {
  if (now) history.replaceState(history.state, "", address(now));
}

// The place that the address names, told what else the address says of it.
function named() {
  for (const place of places) {
    const found = new RegExp(`(?:^#?|&)${place.key}=([^&]*)`).exec(location.hash);
    if (found) {
      place.unpack(found[1]);
      return place;
    }
  }
  return null;
}

async function copy() {
  if (!now) return;
  const own = `${location.href.split("#")[0]}#${now.key}=${now.pack()}`;
  let words = "Link copied";
  try {
    await navigator.clipboard.writeText(own);
  } catch {
    words = "It is in the address bar";
  }
  remember();
  set(parts.copy, words);
  setTimeout(() => set(parts.copy, "Copy link"), 1800);
}

/**
 * @param {Place | null} place
 * @param {boolean} push
 */
function show(place, push = true) {
  const was = now;
  if (push && was !== place) history.pushState(history.state, "", address(place));
  now = place;
  parts.compare.hidden = place !== null;
  places.forEach((one) => {
    one.page.hidden = one !== place;
  });
  parts.root.classList.toggle("elsewhere", place !== null);
  parts.copy.hidden = place === null;
  [...parts.nav.children].forEach((tab, i) => {
    if ((places[i - 1] || null) === place) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  });
  card.hide();
  if (was && was !== place) was.closed();
  if (place) {
    rest();
    place.opened();
  } else {
    if (was) window.dispatchEvent(new Event("resize"));
    if (resume) timeline.play();
    resume = false;
  }
  if (was !== place) window.scrollTo(0, 0);
}

// The race at Compare waits until it is looked at again.
function rest() {
  if (!state.playing) return;
  resume = true;
  timeline.pause();
}

/**
 * @param {string} words
 * @param {Place | null} place
 */
const tab = (words, place) => el("button", { type: "button", onclick: () => show(place) }, words);

/** @param {Place} place */
export function add(place) {
  places.push(place);
  place.page.hidden = true;
  place.page.addEventListener("keydown", (event) => event.stopPropagation());
  parts.nav.append(tab(place.words, place));
  parts.root.append(place.page);
}

/** @param {HTMLElement} node */
export function mount(node) {
  parts.root = node;
  parts.compare = inside(node, ":scope > .page");
  parts.nav = el("nav.sections", { "aria-label": "Sections" }, tab("Compare", null));
  inside(node, ".top .brand").after(parts.nav);
  parts.copy = el("button.plainbutton", { type: "button", hidden: true, onclick: copy }, "Copy link");
  inside(node, ".top .actions").prepend(parts.copy);
  on("address", remember);
  on("run time", () => {
    if (now)
      queueMicrotask(() => {
        if (now) rest();
      });
  });
  window.addEventListener("popstate", () => show(named(), false));
  // Keys that drive the timeline at Compare are plain keys elsewhere.
  window.addEventListener(
    "keydown",
    (event) => {
      if (now && event.target === document.body) event.stopPropagation();
    },
    true,
  );
}

// Opens what the address names.
export const start = () => show(named(), false);
