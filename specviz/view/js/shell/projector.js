// For a room: two lanes, large tokens, what each round does in a sentence, and nothing else. Key F.
import { el, inside, set } from "specviz/core/dom.js";
import { on } from "specviz/core/events.js";
import { shown, state } from "specviz/core/state.js";
import * as store from "specviz/core/store.js";
import * as narration from "specviz/compare/narration.js";

/** @type {HTMLElement} */
let page;
/** @type {HTMLElement} */
let words;

export const active = () => page.classList.contains("projector");

// The lane that is looked at, and beside it the first lossless one.
function pairOf() {
  const lanes = shown();
  const front = lanes.find(({ index }) => index === state.front) ?? lanes[0];
  const other =
    lanes.find(({ lane, index }) => lane.lossless && index !== front?.index) ?? lanes.find((one) => one !== front);
  return [front, innerWidth > 860 ? other : null].filter((one) => one !== null && one !== undefined);
}

function follow() {
  if (!active()) return;
  const lanes = pairOf();
  page.querySelectorAll(".lane").forEach((node, index) => {
    node.classList.toggle(
      "projected",
      lanes.some((one) => one.index === index),
    );
  });
  inside(page, ".lanes").style.setProperty("--projected", String(lanes.length));
  set(words, lanes[0] ? told(lanes[0].lane) : "");
}

// What the round at the playhead does; behind the end what the last one did.
/** @param {Lane} lane */
export function told(lane) {
  if (!lane.rounds.length) return "";
  const now = state.live ? { done: lane.rounds.length, pending: 0, phase: "done" } : store.at(lane, state.time);
  const going = now.phase === "checking" || now.pending > 0;
  const round = lane.rounds[going ? now.done : Math.max(0, now.done - 1)];
  return narration.sentence(lane, round, going ? now.phase : "done");
}

export function toggle(wanted = !active()) {
  page.classList.toggle("projector", wanted);
  if (wanted) document.documentElement.requestFullscreen?.().catch(() => {});
  else if (document.fullscreenElement) document.exitFullscreen().catch(() => {});
  follow();
  window.dispatchEvent(new Event("resize"));
}

/** @param {HTMLElement} node */
export function build(node) {
  page = node;
  words = el("p.narration");
  inside(node, ".screen .left").append(words);
  document.addEventListener("fullscreenchange", () => {
    if (!document.fullscreenElement && active()) toggle(false);
  });
  on("run append time pick columns ended", follow);
}
