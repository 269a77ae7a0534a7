// Drawing with SVG: nodes, marks of rules, widths of words.
import { css } from "specviz/core/dom.js";
import { percent } from "specviz/core/formats.js";
import { stroke } from "specviz/laws/twins.js";

const SVG = "http://www.w3.org/2000/svg";
/** @type {CanvasRenderingContext2D} */
let ruler;
const widths = new Map();

// svg("text", {x: 1, class: "big"}, "words", child)
/**
 * @template {keyof SVGElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Attributes<SVGElementTagNameMap[Tag]> | null} [attributes]
 * @param {...any} children
 * @returns {SVGElementTagNameMap[Tag]}
 */
export function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  put(node, attributes || {});
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined) node.append(child);
  return node;
}

/**
 * @template {Element} Kind
 * @param {Kind} node
 * @param {Record<string, unknown>} attributes
 * @returns {Kind}
 */
export function put(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value === true ? "" : String(value));
  }
  return node;
}

/**
 * @param {string} words
 * @param {number} size
 * @param {number} weight
 */
export function width(words, size = 11.5, weight = 400) {
  const key = `${weight} ${size} ${words}`;
  if (!widths.has(key)) {
    ruler ??= /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
    if (widths.size > 2000) widths.clear();
    ruler.font = `${weight} ${size}px ${css("sans")}`;
    widths.set(key, ruler.measureText(words).width);
  }
  return widths.get(key);
}

/** @type {Record<string, (r: number) => string>} */
const SHAPES = {
  /** @param {number} r */
  circle: (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0Z`,
  /** @param {number} r */
  square: (r) => `M${-r},${-r}H${r}V${r}H${-r}Z`,
  /** @param {number} r */
  "triangle-up": (r) => `M0,${-1.15 * r}L${1.1 * r},${0.85 * r}H${-1.1 * r}Z`,
  /** @param {number} r */
  "triangle-down": (r) => `M0,${1.15 * r}L${1.1 * r},${-0.85 * r}H${-1.1 * r}Z`,
  /** @param {number} r */
  diamond: (r) => `M0,${-1.25 * r}L${1.25 * r},0L0,${1.25 * r}L${-1.25 * r},0Z`,
  /** @param {number} r */
  cross: (r) =>
    `M${-0.4 * r},${-1.1 * r}H${0.4 * r}V${-0.4 * r}H${1.1 * r}V${0.4 * r}H${0.4 * r}` +
    `V${1.1 * r}H${-0.4 * r}V${0.4 * r}H${-1.1 * r}V${-0.4 * r}H${-0.4 * r}Z`,
  /** @param {number} r */
  hexagon: (r) =>
    `M${-1.1 * r},0L${-0.55 * r},${-0.95 * r}H${0.55 * r}L${1.1 * r},0L${0.55 * r},${0.95 * r}H${-0.55 * r}Z`,
};

// The mark of a rule, as in the other plots.
/**
 * @param {string} rule
 * @param {number} radius
 */
export function glyph(rule, radius = 4.5) {
  const { color, width: thick, dash, symbol } = stroke(rule);
  return shape([color, thick, dash, symbol, ""], radius);
}

// The mark of a stroke, see laws/twins.js.
/**
 * @param {Twin["stroke"]} given
 * @param {number} radius
 */
export function shape([color, , , symbol], radius) {
  const [name, hollow] = symbol.endsWith("-open") ? [symbol.slice(0, -5), true] : [symbol, false];
  return svg("path", {
    d: (SHAPES[name] || SHAPES.circle)(radius),
    fill: hollow ? "var(--ground)" : `var(--${color})`,
    stroke: `var(--${hollow ? "ink2" : color})`,
    "stroke-width": 1.4,
  });
}

// A law as small bars, with a tick for what the verifier would write; `name` says what the i-th token is called.
/**
 * @param {SVGElement} node
 * @param {Probs} law
 * @param {Probs} verifier
 * @param {(i: number) => string} name
 */
export function spark(node, law, verifier, name) {
  const most = Math.max(...law, ...verifier);
  const step = Math.max(9, Math.min(16, 130 / law.length));
  const tall = 22;
  put(node, {
    width: Math.ceil(step * law.length) + 2,
    "aria-label": law.map((p, i) => `${name(i)} ${percent(p)} % of ${percent(verifier[i])} %`).join(", "),
  });
  if (node.children.length !== 2 * law.length)
    node.replaceChildren(
      ...law.flatMap((_, i) => [
        svg("rect", { x: 1 + i * step, width: step - 3, fill: "var(--mute)" }),
        svg("line", { x1: i * step, x2: i * step + step - 1, stroke: "var(--ink)", "stroke-width": 1.4 }),
      ]),
    );
  law.forEach((p, i) => {
    const high = Math.max(p > 0 ? 1 : 0, (p / most) * tall);
    const tick = (24.5 - (verifier[i] / most) * tall).toFixed(1);
    put(node.children[2 * i], { y: (25 - high).toFixed(1), height: high.toFixed(1) });
    put(node.children[2 * i + 1], { y1: tick, y2: tick });
  });
}
