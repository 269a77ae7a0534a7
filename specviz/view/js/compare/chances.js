// How likely one of several candidates for a place is kept, beside the most that any lossless rule could keep there: over a
// column of the tree's picture and in its list, each with a sentence that says what the two numbers are.
import { el } from "specviz/core/dom.js";
import { prob } from "specviz/core/formats.js";
import { svg } from "specviz/parts/svg.js";

// What a trace holds of the places that a round of a lane came to, by the node that their candidates follow; `best` is null where
// nobody knows it.
/**
 * @param {Lane} lane
 * @param {Round} round
 * @returns {Map<number, Chance>}
 */
export function chances({ lossless }, { given, shape }) {
  const { behind = [], kept_chance: kept = [], optimum = [] } = given.candidates ?? {};
  return new Map(
    behind.map((node, i) => {
      const count = shape.parents.filter((parent) => parent === node).length;
      return [node, { kept: kept[i], best: optimum[i] ?? null, count, lossless }];
    }),
  );
}

/**
 * Of a place with `count` candidates, under a rule that is `lossless` or not.
 * @typedef {{ kept: number, best: number | null, count: number, lossless: boolean }} Chance
 */

/** @param {Chance} chance */
export function sentence({ kept, best, count, lossless }) {
  const own = `One of these ${count} candidates, as they were drawn, is kept with chance ${prob(kept)}.`;
  if (best === null) return `${own} How often the best rule would keep one is not known.`;
  return (
    `${own} Before they are drawn, no rule that loses nothing keeps one with more than ${prob(best)}: a mean over all that ` +
    `may come, so these may be above it${lossless ? "" : "; and this rule, which is not lossless, may be so always"}.`
  );
}

/** @param {Chance} chance */
const words = ({ kept, best }) => (best === null ? prob(kept) : `${prob(kept)}, best ${prob(best)}`);

const ROOMY = 160; // px from column to column: above it the picture says "kept", and its bars are long;
const BARE = 125; // below this it has no bars

// The two numbers over a column, from `x` on, with `room` px to the next one: a bar that is filled as far as the chance, with a tick at the most.
/**
 * @param {Chance} chance
 * @param {number} x
 * @param {number} y
 * @param {number} room
 * @param {() => void} explain
 */
export function drawn(chance, x, y, room, explain) {
  const { kept, best } = chance;
  const long = room > ROOMY ? 44 : room > BARE ? 24 : 0;
  const at = x + long * Math.min(1, best ?? 0);
  return svg(
    "g",
    {
      class: "chance",
      role: "button",
      tabindex: 0,
      "aria-label": sentence(chance),
      onclick: explain,
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        event.stopPropagation();
        explain();
      },
    },
    svg("title", null, sentence(chance)),
    svg("rect", { x: x - 4, y: y - 8, width: room - 8, height: 24, fill: "transparent" }),
    long ? svg("rect", { x, y, width: long, height: 8, rx: 2, fill: "var(--sunk)" }) : null,
    long ? svg("rect", { x, y, width: Math.max(1, long * kept), height: 8, rx: 2, fill: "var(--ink3)" }) : null,
    best === null || !long
      ? null
      : svg("line", { x1: at, x2: at, y1: y - 3, y2: y + 11, stroke: "var(--amber)", "stroke-width": 2.5 }),
    svg(
      "text",
      { x: x + long + (long ? 7 : 0), y: y + 8, fill: "var(--ink2)" },
      `${room > ROOMY ? "kept " : ""}${words(chance)}`,
    ),
  );
}

// The same above the candidates of a list; a tap unfolds the sentence.
/** @param {Chance} chance */
export const listed = (chance) =>
  el(
    "details.listchance",
    null,
    el("summary", null, `one of ${chance.count} kept: ${words(chance)}`),
    el("p.caption", null, sentence(chance)),
  );
