// Which sweep is on display: one of those that were recorded, with what to make of it, or the visitor's own.
import { boot } from "specviz/core/boot.js";
import { el } from "specviz/core/dom.js";

/** @type {Regime[]} */
const regimes = boot.sweep?.regimes ?? [];
/** @type {Map<string, Promise<SweepMessage>>} */
const fetched = new Map(); // by address
/** @typedef {{  buttons: HTMLButtonElement[], own: HTMLButtonElement, about: HTMLElement }} Parts */
const parts = /** @type {Parts} */ ({});

/**
 * @param {string} url
 * @returns {Promise<SweepMessage>}
 */
function fetching(url) {
  const known = fetched.get(url);
  if (known) return known;
  const answer = fetch(url).then((given) => {
    if (!given.ok) throw new Error(String(given.status));
    return given.json();
  });
  answer.catch(() => fetched.delete(url));
  fetched.set(url, answer);
  return answer;
}

// The request of a recorded sweep.
/** @param {number} i */
export const asked = (i) => regimes[i].asked;

// The number of the recording that a request asks for; -1 where there is none.
/** @param {Record<string, unknown>} request */
export const of = (request) =>
  regimes.findIndex((one) =>
    Object.keys(one.asked).every((name) => JSON.stringify(one.asked[name]) === JSON.stringify(request[name])),
  );

// The recorded sweep of that number, as the server's last message; rejects where it cannot be had.
/** @param {number} i */
export const get = (i) => fetching(regimes[i].recorded);

export const count = () => regimes.length;

// Says which is on display; null is the visitor's own, which can be come back to once there is one.
/**
 * @param {number | null} which
 * @param {boolean} own
 */
export function mark(which, own) {
  parts.buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === which)));
  parts.own.setAttribute("aria-pressed", String(which === null));
  parts.own.hidden = !own;
  parts.about.replaceChildren(
    ...(which === null ? [] : regimes[which].about.map((words) => el("p.caption", null, words))),
  );
}

// The control. `choose` is called with the number of a recording, or null for the visitor's own.
/** @param {(which: number | null) => void} choose */
export function build(choose) {
  parts.buttons = regimes.map((one, i) =>
    el("button", { type: "button", "aria-pressed": "false", onclick: () => choose(i) }, one.title),
  );
  parts.own = el(
    "button",
    { type: "button", "aria-pressed": "false", hidden: true, onclick: () => choose(null) },
    "your sweep",
  );
  parts.about = el("div");
  return el(
    "div.regimes",
    { hidden: !regimes.length },
    el("div.choices", { role: "group", "aria-label": "Sweep on display" }, parts.buttons, parts.own),
    parts.about,
  );
}
