// Several candidates for one place, in a lane's text: the kept path stands in the line, the others are folded behind a mark that
// says how many there were. Candidates that were never judged are seen in the round's tree alone.
import { el, hit } from "specviz/core/dom.js";
import * as store from "specviz/core/store.js";

// Before the word, and behind the space that leads it.
/**
 * @param {Element} token
 * @param {Element} found
 */
const put = (token, found) => token.insertBefore(found, token.querySelector("bdi"));

// Puts the marks into a round's node, whose children are its tokens.
/**
 * @param {Round} round
 * @param {Element} node
 */
export function mark(round, node) {
  if (!round.shape.tree) return;
  node.classList.add("tree");
  store.places(round).forEach(({ slots, written }) => {
    if (slots.length < 2 || !written) return;
    const refused = slots.filter((slot) => round.tokens[slot].fate === "rejected").length;
    const words = `${slots.length} candidates for this place${refused ? `, ${refused} refused` : ""}`;
    put(
      node.children[round.tokens.indexOf(written)],
      el(refused ? "span.offers.some" : "span.offers", { "aria-hidden": "true", title: words }, String(slots.length)),
    );
  });
}

// A token's node made anew keeps its mark.
/**
 * @param {Element} old
 * @param {Element} made
 */
export function keep(old, made) {
  const found = old.querySelector(".offers");
  if (found) put(made, found);
}

// Of a round's first `count` drafted tokens, the last that stands in the line; -1 without one.
/**
 * @param {Round} round
 * @param {number} count
 */
export const last = ({ shape, tokens }, count) =>
  tokens.slice(0, count).findLastIndex((token) => !(shape.tree && token.cut));

// A click on a mark unfolds what was refused in its round, or folds it again.
/** @param {HTMLElement} box */
export function watch(box) {
  box.addEventListener(
    "click",
    (event) => {
      if (!hit(event, ".offers")) return;
      hit(event, ".round")?.classList.toggle("unfolded");
      event.stopPropagation();
    },
    true,
  );
}
