// The key of a rule: how it is drawn in the plots.
import { el } from "specviz/core/dom.js";
import { stroke } from "specviz/laws/twins.js";

/** @type {Record<string, string>} */
const MARKS = {
  circle: '<circle cx="11" cy="6" r="3.6"/>',
  square: '<rect x="7.6" y="2.6" width="6.8" height="6.8"/>',
  diamond: '<path d="M11 1.6 15.4 6 11 10.4 6.6 6Z"/>',
  "triangle-up": '<path d="M11 2 15 9.4H7Z"/>',
  "triangle-down": '<path d="M11 10 15 2.6H7Z"/>',
  cross: '<path d="M11 2v8M7 6h8"/>',
  hexagon: '<path d="M9 2.5h4L15 6l-2 3.5H9L7 6Z"/>',
  none: "",
};

// The key of a rule, as its nth lane is drawn: its stroke and mark as they appear in the plots. Constant markup, no model text.
/**
 * @param {string} rule
 * @param {number} nth
 */
export function key(rule, nth = 0) {
  const { color, width, dash, symbol } = stroke(rule, nth);
  const [shape, open] = symbol.split("-open");
  const span = el("span.key", { "aria-hidden": "true" });
  const fill = open === undefined ? `var(--${color})` : "var(--sheet)";
  span.innerHTML =
    `<svg viewBox="0 0 22 12"><path d="M0 6H22" stroke="var(--${color})" stroke-width="${width}" ` +
    `stroke-dasharray="${dash}"/><g fill="${fill}" stroke="var(--${color})" ` +
    `stroke-width="1.3">${MARKS[shape] || ""}</g></svg>`;
  return span;
}
