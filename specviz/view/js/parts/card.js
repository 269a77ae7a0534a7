// Pointing at things: the hover card, clicking a token, and walking through tokens with the keyboard.
import { el } from "specviz/core/dom.js";
import { emit } from "specviz/core/events.js";
import { named, percent, prob } from "specviz/core/formats.js";
import { laneOf, pick, pickedToken, shown, state } from "specviz/core/state.js";
import * as store from "specviz/core/store.js";
import * as copied from "specviz/parts/passage.js";

let card;

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

export function tell(anchor, title, lines) {
  node().replaceChildren(el("h4", null, title), ...lines.filter(Boolean).map((line) => el("p", null, line)));
  placeAt(anchor);
}

export function hide() {
  if (card) card.hidden = true;
}

function show(anchor, token, lane) {
  const rows = [];
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
    ...copied.about(state.run, token),
    anchor.parentNode.classList.contains("same") ? el("p", null, "The dot: same position as the selected token.") : "",
  );
  placeAt(anchor);
}

// Hover and click on tokens inside `box`; `find` turns an element into {node, token, lane}.
export function watch(box, find) {
  box.addEventListener("pointerover", (event) => {
    const hit = event.pointerType === "touch" ? null : find(event.target);
    if (!hit) return;
    show(hit.node.querySelector("bdi"), hit.token, hit.lane);
    emit("point", hit.token);
  });
  box.addEventListener("pointerout", (event) => {
    if (!event.target.closest(".t")) return;
    hide();
    emit("point", null);
  });
  box.addEventListener("click", (event) => {
    const hit = find(event.target);
    if (!hit || String(getSelection())) return;
    if (event.pointerType === "touch") setTimeout(() => show(hit.node.querySelector("bdi"), hit.token, hit.lane), 60);
    const again =
      state.asked && state.picked && state.picked.lane === hit.lane.index && state.picked.key === hit.token.key;
    pick(again ? null : hit.lane.index, hit.token.key);
  });
  box.addEventListener("keydown", (event) => {
    const text = event.target.closest(".text");
    if (!text || event.altKey || event.ctrlKey || event.metaKey) return;
    const lane = laneOf(state.columns[text.dataset.lane]);
    if (!lane || !lane.tokens.length) return;
    const move = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
    const over = { ArrowDown: 1, ArrowUp: -1 }[event.key];
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
    const folded = (token) => token.cut && (state.hideCut || lane.rounds[token.round].shape.tree);
    const visible = lane.tokens.filter((token) => token === here || !folded(token));
    const at = here && here.lane === lane.index ? visible.indexOf(here) : move > 0 ? -1 : visible.length;
    const next = visible[Math.max(0, Math.min(visible.length - 1, at + move))];
    go(lane, next);
  });
  box.addEventListener("focusout", hide);
}

function go(lane, token) {
  pick(lane.index, token.key);
  const anchor = document.querySelector(".sv .text .t.selected bdi");
  if (anchor) show(anchor, token, lane);
}

// The same position in the next lane.
function sideways(lane, here, by) {
  const all = shown();
  const at = all.findIndex((one) => one.lane === lane);
  const next = all[(at + by + all.length) % all.length];
  const token = here ? store.writtenAt(next.lane, here.position) : next.lane.tokens[0];
  document.querySelector(`.sv .text[data-lane="${next.index}"]`)?.focus({ preventScroll: true });
  if (token) go(next.lane, token);
}

addEventListener("scroll", hide, { passive: true, capture: true });
