// What a round is drawn with: columns, words in boxes, the rule's bar and the draw on it, and where each stands on the stage.
import { calm } from "specviz/core/dom.js";
import { named, prob } from "specviz/core/formats.js";
import { svg, width } from "specviz/parts/svg.js";
import { state } from "specviz/playground/play.js";

/** @typedef {ReturnType<typeof places>} Places */
/** @typedef {{ kept: number, rewritten: number }} Tally of a word: how often it was kept, and written in another's place */

export const TALL = 376;
export const ROWS = { draft: 78, names: 94, chip: 122, bar: 146, residual: 254, written: 350 }; // px from the top

// Where things stand, for a stage of this width.
/** @param {number} wide */
export function places(wide) {
  const each = (wide - 16) / state.names.length;
  /** @param {number} i */
  const centre = (i) => 8 + each * (i + 0.5);
  return {
    each,
    centre,
    left: 8,
    right: wide - 8,
    bar: Math.min(34, each * 0.5),
  };
}

/**
 * @param {string} words
 * @param {number} x
 * @param {number} y
 * @param {Record<string, unknown>} more
 */
export const text = (words, x, y, more = {}) =>
  svg("text", { x, y, "font-size": 11.5, fill: "var(--ink3)", ...more }, words);

/**
 * @param {string} name
 * @param {number} room
 */
export function shortened(name, room) {
  const shown = [...named(name)];
  const fits = Math.max(2, Math.floor(room / 7.2));
  return shown.length > fits ? `${shown.slice(0, fits - 1).join("")}…` : shown.join("");
}

/**
 * @param {Probs} probs
 * @param {Places} at
 * @param {number} base
 * @param {number} tall
 * @param {(chosen: boolean) => Record<string, unknown>} look
 * @param {number} chosen
 */
export function columns(probs, at, base, tall, look, chosen) {
  const most = Math.max(...probs, 1e-9);
  return probs.map((p, i) => {
    const high = Math.max(p > 0 ? 1 : 0, (p / most) * tall);
    return svg("rect", {
      x: at.centre(i) - at.bar / 2,
      y: base - high,
      width: at.bar,
      height: high,
      ...look(i === chosen),
    });
  });
}

// A word in a box, in the place of its column.
/**
 * @param {number} i
 * @param {Places} at
 * @param {number} y
 * @param {{ box?: object, text?: object, struck?: boolean }} look
 */
export function chip(i, at, y, look = {}) {
  const name = shortened(state.names[i], Math.max(60, at.each));
  const wide = width(name, 12) * 1.12 + 16;
  const x = Math.min(at.right - wide / 2, Math.max(at.left + wide / 2, at.centre(i)));
  return svg(
    "g",
    { class: "chip" },
    svg("rect", {
      x: x - wide / 2,
      y: y - 15,
      width: wide,
      height: 21,
      rx: 5,
      fill: "var(--sheet)",
      stroke: "var(--ink)",
      "stroke-width": 1.4,
      ...look.box,
    }),
    svg(
      "text",
      {
        x,
        y,
        "text-anchor": "middle",
        "font-size": 12,
        "font-family": "var(--mono)",
        fill: "var(--ink)",
        ...look.text,
      },
      name,
    ),
    look.struck
      ? svg("line", {
          x1: x - wide / 2 + 4,
          x2: x + wide / 2 - 4,
          y1: y - 4,
          y2: y - 4,
          stroke: "var(--red)",
          "stroke-width": 1.6,
        })
      : null,
  );
}

// Lets a mark fall from where it came; nothing moves for who wants no motion.
/**
 * @param {Element} node
 * @param {number} from
 */
export function fall(node, from) {
  if (!calm())
    node.animate(
      [
        { transform: `translateY(${from}px)`, opacity: 0.2 },
        { opacity: 1, offset: 0.4 },
        { transform: "none", opacity: 1 },
      ],
      { duration: 460, easing: "cubic-bezier(0.45, 0, 0.75, 1)" },
    );
}

// The rule's bar: a draw below `phi` keeps the word.
/**
 * @param {number} phi
 * @param {Places} at
 */
export function acceptance(phi, at) {
  const long = at.right - at.left;
  const y = ROWS.bar;
  return [
    svg("rect", { x: at.left, y, width: long, height: 12, fill: "var(--sunk)" }),
    svg("rect", { x: at.left, y, width: long * phi, height: 12, fill: "var(--mute)" }),
    text("0", at.left, y + 28),
    text("1", at.right, y + 28, { "text-anchor": "end" }),
    text(`kept below φ = ${prob(phi)}`, at.right, y - 7, { "text-anchor": "end", fill: "var(--ink2)" }),
  ];
}

// Where a draw falls on it.
/**
 * @param {number} uniform
 * @param {Places} at
 */
export function draw(uniform, at) {
  const x = at.left + (at.right - at.left) * uniform;
  const label = `u = ${prob(uniform)}`;
  const half = width(label, 12, 600) / 2 + 14; // off the 0 and the 1
  return svg(
    "g",
    { class: "draw" },
    svg("line", { x1: x, x2: x, y1: ROWS.bar - 4, y2: ROWS.bar + 16, stroke: "var(--ink)", "stroke-width": 2.4 }),
    text(label, Math.min(at.right - half, Math.max(at.left + half, x)), ROWS.bar + 29, {
      "text-anchor": "middle",
      "font-size": 12,
      "font-weight": 600,
      fill: "var(--ink)",
    }),
  );
}

// The words written so far, piled up: filled are kept ones, blue those of the residual.
/**
 * @param {Tally[]} counts
 * @param {Places} at
 */
export function written(counts, at) {
  const most = Math.max(8, ...counts.map((one) => one.kept + one.rewritten));
  const unit = 48 / most;
  return [
    svg("line", { x1: at.left, x2: at.right, y1: ROWS.written, y2: ROWS.written, stroke: "var(--line2)" }),
    text("written so far: filled was kept, blue rewritten", at.left, ROWS.written - 52),
    counts.flatMap(({ kept, rewritten }, i) =>
      [
        { many: kept, below: 0, fill: "var(--ink2)" },
        { many: rewritten, below: kept, fill: "var(--blue)" },
      ]
        .filter(({ many }) => many)
        .map(({ many, below, fill }) =>
          svg("rect", {
            x: at.centre(i) - at.bar / 2,
            y: ROWS.written - unit * (below + many),
            width: at.bar,
            height: unit * many - (unit > 4 ? 1 : 0),
            fill,
          }),
        ),
    ),
    state.names.map((name, i) =>
      text(shortened(name, at.each - 4), at.centre(i), ROWS.written + 16, {
        "text-anchor": "middle",
        "font-family": "var(--mono)",
        fill: "var(--ink2)",
      }),
    ),
  ];
}
