// A guided tour over the live page: each card lights its part and moves the playhead of the run on display to a round
// that shows what the card speaks of. Space or an arrow goes on, Escape ends it. Cards whose round the run does not have
// are left out.
import { all, el, hit, set } from "specviz/core/dom.js";
import { emit, on } from "specviz/core/events.js";
import { fixed, named, nats, percent } from "specviz/core/formats.js";
import * as measures from "specviz/core/measures.js";
import { onDisplay, pick, setTime, shown, state } from "specviz/core/state.js";
import { parts as partsOf } from "specviz/compare/narration.js";
import * as sheet from "specviz/compare/sheet.js";
import * as timeline from "specviz/compare/timeline.js";

/**
 * @typedef {{
 *   light: HTMLElement, title: HTMLElement, words: HTMLElement, count: HTMLElement, before: HTMLButtonElement,
 *   next: HTMLButtonElement, card: HTMLElement, box: HTMLElement,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({});
/**
 * A card; `at`: the selector of what it lights, or a function that gives the element; `drawer`: it is in the sheet.
 * @typedef {{
 *   title: string, words: string, at: string | (() => HTMLElement | null | undefined), drawer?: boolean,
 *   show: () => void,
 * }} Card
 */
/** @typedef {ReturnType<typeof partsOf>} Parted */
/** @typedef {Parted & { lane: Lane, index: number, round: Round }} Scene */

/** @type {Card[]} */
let cards = [];
/** @type {Record<string, number>} cards on, by key */
const STEPS = { " ": 1, ArrowRight: 1, ArrowLeft: -1, PageDown: 1, PageUp: -1 };
let place = 0;
/** @type {HTMLElement | null} */
let back = null; // what had the focus

/** @param {Token} token */
const quoted = (token) => `“${named(token.text)}”`;

// The rounds that the cards are about: one with tokens kept, one refused and some unread, one kept whole, one with leniency.
function scenes() {
  const lanes = shown().filter(({ lane }) => lane.rule !== "plain");
  const lossy = lanes.filter(({ lane }) => !lane.lossless);
  const all = [...lossy.reverse(), ...lanes].map(({ lane, index }) => ({ lane, index }));
  /**
   * @param {(parts: Parted) => unknown} wanted
   * @returns {Scene | null}
   */
  const find = (wanted) => {
    for (const { lane, index } of all) {
      const round = lane.rounds.find((one) => wanted(partsOf(one)));
      if (round) return { lane, index, round, ...partsOf(round) };
    }
    return null;
  };
  return {
    refusal:
      find(({ kept, relaxed, refused, unread }) => kept.length > relaxed.length && refused && unread.length) ??
      find(({ refused }) => refused),
    whole: find(({ extra }) => extra),
    lenient: find(({ relaxed }) => relaxed.length),
    first: all[0] ?? null,
  };
}

/**
 * @param {number} index
 * @returns {() => HTMLElement | null}
 */
const textOf = (index) => () => all(document, `.sv .lane:has(.text[data-lane="${index}"])`)[0] ?? null;
/**
 * @param {number} from
 * @param {number} to
 */
const middle = (from, to) => (from + to) / 2;

/**
 * @param {Pick<Scene, "lane" | "index">} scene
 * @param {number} time
 * @param {Token | null} token
 */
function see(scene, time, token = null) {
  state.front = scene.index;
  emit("columns");
  setTime(time);
  pick(token ? scene.lane.index : null, token?.key, false);
}

function build() {
  const { refusal, whole, lenient, first } = scenes();
  /** @type {Card[]} */
  const made = [];
  if (refusal?.refused) {
    const { round, index, drafted, refused, unread, rewritten } = refusal;
    const kept = refusal.kept.filter(({ fate }) => fate === "accepted");
    made.push(
      {
        title: "The draft writes ahead",
        words: `A small model proposes ${drafted.length} tokens, one after the other: ${drafted.map(quoted).join(" ")}. That is cheap, and it is only a guess.`,
        at: textOf(index),
        show: () => see(refusal, middle(round.from, round.drafted) + (round.drafted - round.from) * 0.49),
      },
      {
        title: "The verifier looks once",
        words: `The big model reads all ${drafted.length} in one call, as long as this stretch of the time line. Without a draft one call writes one token.`,
        at: ".timeline",
        show: () => see(refusal, middle(round.drafted, round.to)),
      },
    );
    if (kept.length)
      made.push({
        title: "What agrees is kept",
        words: `For ${quoted(kept[0])} the draft said ${percent(kept[0].draft)} %, the verifier ${percent(kept[0].verifier)} %. A number u between 0 and 1 was drawn: ${fixed(kept[0].uniform)}, below ${fixed(kept[0].accept)}, so the token stays. The same u is drawn in every lane.`,
        at: ".inspector",
        drawer: true,
        show: () => see(refusal, round.to, kept[0]),
      });
    made.push({
      title: "The first refusal ends the draft",
      words: `${quoted(refused)} is refused: u is ${fixed(refused.uniform)}, and it is kept only below ${fixed(refused.accept)}. ${rewritten ? `The verifier writes ${quoted(rewritten)} in its place` : "The round ends there"}${unread.length ? `, and ${unread.map(quoted).join(" ")} behind it ${unread.length === 1 ? "goes" : "go"} unread` : ""}.`,
      at: textOf(index),
      show: () => see(refusal, round.to, refused),
    });
  }
  if (whole?.extra)
    made.push({
      title: "A clean round earns one more",
      words: `Here all ${whole.drafted.length} drafted tokens were kept. The verifier has read them anyway, so it adds ${quoted(whole.extra)} for nothing: ${whole.drafted.length + 1} tokens for one call.`,
      at: textOf(whole.index),
      show: () => see(whole, whole.round.to, whole.extra),
    });
  if (lenient) {
    const token = lenient.relaxed[0];
    made.push({
      title: "What leniency lifts",
      words: `${lenient.lane.label} keeps ${quoted(token)} with chance ${fixed(token.accept)}. A strict check would keep it only below ${fixed(token.strict)}, and u is ${fixed(token.uniform)}: kept by leniency, and marked so.`,
      at: ".inspector",
      drawer: true,
      show: () => see(lenient, lenient.round.to, token),
    });
  }
  if (first) {
    const { lane, index } = lenient ?? first;
    const figures = measures.figures(onDisplay(), lane.index, lane.rounds.length, null);
    made.push({
      title: "What it costs",
      words: `Over this text ${lane.label} wrote ${fixed(figures.emitted_per_round)} tokens per call of the verifier. What it writes differs from the verifier's own distribution by ${nats(figures.mean_kl)} nats a token${lane.lossless ? ": nothing, it is lossless" : ", exactly computed; a lossless rule's figure is 0"}. Turn a knob: the recorded tokens change at once.`,
      at: () => textOf(index)()?.querySelector(".big"),
      show: () => see({ lane, index }, Infinity, lenient?.relaxed[0] ?? null),
    });
  }
  return made;
}

function light() {
  const { at } = cards[place];
  const target = typeof at === "string" ? all(document, `.sv ${at}`)[0] : at();
  if (!target) return;
  target.scrollIntoView({ block: "nearest" });
  const rect = target.getBoundingClientRect();
  Object.assign(parts.light.style, {
    left: `${rect.left - 4}px`,
    top: `${rect.top - 4}px`,
    width: `${rect.width + 8}px`,
    height: `${rect.height + 8}px`,
  });
  // The card stands where it covers least of what is lit.
  const { offsetWidth: wide, offsetHeight: tall } = parts.card;
  const spots = [
    [rect.right + 16, rect.top],
    [rect.left - wide - 16, rect.top],
    [rect.left, rect.bottom + 16],
    [rect.left, rect.top - tall - 16],
    [innerWidth - wide - 16, innerHeight - tall - 16],
  ].map(([x, y]) => [
    Math.max(12, Math.min(innerWidth - wide - 12, x)),
    Math.max(12, Math.min(innerHeight - tall - 12, y)),
  ]);
  /** @param {number[]} given */
  const covered = ([x, y]) =>
    Math.max(0, Math.min(rect.right, x + wide) - Math.max(rect.left, x)) *
    Math.max(0, Math.min(rect.bottom, y + tall) - Math.max(rect.top, y));
  const [x, y] = spots.reduce((best, spot) => (covered(spot) < covered(best) ? spot : best));
  Object.assign(parts.card.style, { left: `${x}px`, top: `${y}px` });
}

/** @param {number} to */
function go(to) {
  if (to < 0) return;
  if (to >= cards.length) return end();
  place = to;
  const { title, words, show, drawer } = cards[place];
  show();
  sheet.open(Boolean(drawer));
  set(parts.title, title);
  set(parts.words, words);
  set(parts.count, `${place + 1} of ${cards.length}`);
  set(parts.next, place + 1 < cards.length ? "Next" : "Done");
  parts.before.disabled = place === 0;
  requestAnimationFrame(light);
}

/** @param {KeyboardEvent} event */
function keys(event) {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const by = STEPS[event.key];
  if (event.key === "Escape") end();
  else if (by && !(event.key === " " && event.target === parts.before)) go(place + by);
  else if (event.key === "Enter" && hit(event, ".tourcard")) return;
  else if (event.key !== "Tab") return;
  else return trap(event);
  event.preventDefault();
  event.stopPropagation();
}

// Tab stays among the card's buttons.
/** @param {KeyboardEvent} event */
function trap(event) {
  const buttons = all(parts.card, "button:not([disabled])");
  const at = buttons.findIndex((one) => one === document.activeElement);
  buttons[(at + (event.shiftKey ? -1 : 1) + buttons.length) % buttons.length].focus();
  event.preventDefault();
}

function end() {
  parts.box.hidden = true;
  removeEventListener("keydown", keys, true);
  removeEventListener("resize", light);
  sheet.open(false);
  (back?.isConnected ? back : all(document, ".sv .tourbutton")[0])?.focus();
}

export function start() {
  if (!state.run || state.live || !parts.box.hidden) return;
  timeline.pause();
  cards = build();
  if (!cards.length) return;
  back = /** @type {HTMLElement | null} */ (document.activeElement);
  parts.box.hidden = false;
  addEventListener("keydown", keys, true);
  addEventListener("resize", light);
  go(0);
  parts.next.focus({ preventScroll: true });
}

// The button that begins it; its cards go into `node`, the page.
/** @param {HTMLElement} node */
export function button(node) {
  /**
   * @param {string} words
   * @param {() => void} act
   */
  const press = (words, act) => el("button.plainbutton", { type: "button", onclick: act }, words);
  parts.light = el("div.tourlight");
  parts.title = el("h2");
  parts.words = el("p");
  parts.count = el("span.caption");
  parts.before = press("Back", () => go(place - 1));
  parts.next = press("Next", () => go(place + 1));
  parts.next.classList.add("outlined");
  parts.card = el(
    "div.tourcard.sheet",
    { role: "dialog", "aria-label": "Tour", "aria-live": "polite" },
    el("div.rowspread", null, parts.title, parts.count),
    parts.words,
    el("div.tourkeys", null, press("End the tour", end), el("span"), parts.before, parts.next),
  );
  parts.box = el("div.tour", { hidden: true }, parts.light, parts.card);
  on("run", () => {
    if (!parts.box.hidden) end();
  });
  node.append(parts.box);
  return el("button.plainbutton.tourbutton", { type: "button", title: "Key T", onclick: start }, "Tour");
}
