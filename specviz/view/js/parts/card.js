// Pointing at things: the hover card, clicking a token, and walking through tokens with the keyboard.
import { el, hit, inside } from "specviz/core/dom.js";
import { emit } from "specviz/core/events.js";
import { named, percent, prob } from "specviz/core/formats.js";
import { laneOf, pick, pickedToken, shown, state } from "specviz/core/state.js";
import * as store from "specviz/core/store.js";
import * as copied from "specviz/parts/passage.js";

/** @type {HTMLElement} */
let card;

/** @type {Record<string, number>} tokens on, by key */
const MOVES = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity };
/** @type {Record<string, number>} lanes on, by key */
const OVER = { ArrowDown: 1, ArrowUp: -1 };

const WORDS = {
  accepted: "Kept. A strict check keeps it too.",
  relaxed: "Kept only because the rule is lossy: a strict check with the same draw refuses it.",
  rejected: "Refused by the verifier.",
  resampled: "The verifier's own word, in place of the refused one.",
  bonus: "The whole draft was kept, so the verifier adds one.",
  plain: "Written by the verifier alone.",
};

function node() {
  if (!card) {
    card = el("div.sv-card", { role: "tooltip", id: "sv-card", hidden: true });
    document.body.append(card);
  }
  return card;
}

/** @param {Element} anchor */
function placeAt(anchor) {
  const box = node();
  box.hidden = false;
  const rect = anchor.getClientRects()[0] || anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = box;
  const left = Math.max(8, Math.min(innerWidth - width - 8, rect.left));
  const below = rect.bottom + 10;
  box.style.left = `${left}px`;
  box.style.top = `${below + height > innerHeight - 8 ? Math.max(8, rect.top - height - 10) : below}px`;
}

/**
 * @param {Element} anchor
 * @param {string} title
 * @param {(string | Node | null)[]} lines
 */
export function tell(anchor, title, lines) {
  node().replaceChildren(el("h4", null, title), ...lines.filter(Boolean).map((line) => el("p", null, line)));
  placeAt(anchor);
}

export function hide() {
  if (card) card.hidden = true;
}

/**
 * @param {Element} anchor
 * @param {Token} token
 * @param {Lane} lane
 */
function show(anchor, token, lane) {
  /** @type {HTMLElement[]} */
  const rows = [];
  /**
   * @param {string} name
   * @param {string} value
   */
  const row = (name, value) => rows.push(el("dt", null, name), el("dd", null, value));
  if (token.judged >= 0) {
    row("Draft said", `${percent(token.draft)} %`);
    row("Verifier says", `${percent(token.verifier)} %`);
    row("Kept with chance", prob(token.accept));
    row("Strict chance", prob(token.strict));
    row("Drawn u", prob(token.uniform));
  }
  node().replaceChildren(
    el("h4", null, el("bdi", null, named(token.text)), ` · ${token.fate}`),
    el("dl", null, rows),
    el(
      "p",
      null,
      token.fate === "discarded" ? `Never judged. ${store.unread(lane.rounds[token.round], token)}` : WORDS[token.fate],
    ),
    token.judged >= 0 && !lane.lossless && token.fate !== "relaxed"
      ? el("p", null, token.uniform < token.strict ? "Strict: keeps it." : "Strict: refuses it.")
      : "",
    ...(state.run ? copied.about(state.run, token) : []),
    anchor.parentElement?.classList.contains("same")
      ? el("p", null, "The dot: same position as the selected token.")
      : "",
  );
  placeAt(anchor);
}

// Hover and click on tokens inside `box`; `find` turns an element into {node, token, lane}.
/**
 * @param {HTMLElement} box
 * @param {(event: Event) => { node: Element, token: Token, lane: Lane } | null} find
 */
export function watch(box, find) {
  box.addEventListener("pointerover", (event) => {
    const pointed = event.pointerType === "touch" ? null : find(event);
    if (!pointed) return;
    show(inside(pointed.node, "bdi"), pointed.token, pointed.lane);
    emit("point", pointed.token);
  });
  box.addEventListener("pointerout", (event) => {
    if (!hit(event, ".t")) return;
    hide();
    emit("point", null);
  });
  box.addEventListener("click", (event) => {
    const pointed = find(event);
    if (!pointed || String(getSelection())) return;
    if (event.pointerType === "touch")
      setTimeout(() => show(inside(pointed.node, "bdi"), pointed.token, pointed.lane), 60);
    const again =
      state.asked && state.picked && state.picked.lane === pointed.lane.index && state.picked.key === pointed.token.key;
    pick(again ? null : pointed.lane.index, pointed.token.key);
  });
  box.addEventListener("keydown", (event) => {
    const text = hit(event, ".text");
    if (!text || event.altKey || event.ctrlKey || event.metaKey) return;
    const lane = laneOf(state.columns[Number(text.dataset.lane)]);
    if (!lane || !lane.tokens.length) return;
    const move = MOVES[event.key] ?? 0;
    const over = OVER[event.key] ?? 0;
    if (event.key === "Escape") {
      pick(null);
      event.preventDefault();
      return;
    }
    if (!move && !over) return;
    event.preventDefault();
    event.stopPropagation();
    const here = pickedToken();
    if (over) return sideways(lane, here, over);
    /** @param {Token} token */
    const folded = (token) => token.cut && (state.hideCut || lane.rounds[token.round].shape.tree);
    const visible = lane.tokens.filter((token) => token === here || !folded(token));
    const at = here && here.lane === lane.index ? visible.indexOf(here) : move > 0 ? -1 : visible.length;
    const next = visible[Math.max(0, Math.min(visible.length - 1, at + move))];
    go(lane, next);
  });
  box.addEventListener("focusout", hide);
}

/**
 * @param {Lane} lane
 * @param {Token} token
 */
function go(lane, token) {
  pick(lane.index, token.key);
  const anchor = document.querySelector(".sv .text .t.selected bdi");
  if (anchor) show(anchor, token, lane);
}

// The same position in the next lane.
/**
 * @param {Lane} lane
 * @param {Token | null} here
 * @param {number} by
 */
function sideways(lane, here, by) {
  const all = shown();
  const at = all.findIndex((one) => one.lane === lane);
  const next = all[(at + by + all.length) % all.length];
  const token = here ? store.writtenAt(next.lane, here.position) : next.lane.tokens[0];
  inside(document, `.sv .text[data-lane="${next.index}"]`)?.focus({ preventScroll: true });
  if (token) go(next.lane, token);
}

addEventListener("scroll", hide, { passive: true, capture: true });
