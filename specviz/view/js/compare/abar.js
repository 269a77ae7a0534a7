// The bar of the inspector: what a strict check would keep, what the rule keeps beyond that, and where the draw fell.
import { fixed, prob } from "specviz/core/formats.js";
import { beside, nudge } from "specviz/parts/nudge.js";
import { svg, width } from "specviz/parts/svg.js";

const W = 304;
const Y = 30;
const TALL = 20;
const SAME = 1e-6; // chances nearer than this are one

/** @typedef {Pick<Facts, "strict" | "accept" | "uniform">} Chances */
/** @typedef {{ text: string, kind: string, left: number, width: number, line: number }} Label */

/**
 * @param {string} text
 * @param {number} weight
 */
const widthOf = (text, weight) => width(text, 12, weight) * 1.03 + 1; // some browsers round letters up

// All labels of the bar as {text, kind, left, width, line}; `measure(text, weight)` says how wide. Pure.
/**
 * @param {Chances} chances
 * @param {(text: string, weight: number) => number} measure
 */
export function labels({ strict, accept, uniform }, measure) {
  /** @param {number} value */
  const x = (value) => Math.max(0, Math.min(1, value)) * W;
  /** @type {Label[]} */
  const made = [];
  /**
   * @param {string} text
   * @param {string} kind
   * @param {number} left
   * @param {number} size
   * @param {number} line
   */
  const put = (text, kind, left, size, line) => made.push({ text, kind, left, width: size, line });
  /** @type {[string, string, number][]} */
  const below = [[`strict ${prob(strict)}`, "", strict]];
  if (Math.abs(accept - strict) > SAME) below.push([`φ ${prob(accept)}`, "amber", accept]);
  const sized = below.map(([text, , at]) => ({ at: x(at), width: measure(text, 500) }));
  nudge(sized, 0, W).forEach((left, i) => put(below[i][0], below[i][1], left, sized[i].width, Y + TALL + 17));
  /**
   * @param {string} text
   * @param {string} kind
   * @param {number} from
   * @param {number} to
   */
  const inner = (text, kind, from, to) => {
    const size = measure(text, 500);
    const middle = beside(from, to, x(uniform), size);
    if (middle !== null) put(text, kind, middle - size / 2, size, Y + 14);
  };
  if (accept > strict) inner("kept by leniency", "amber", x(strict), x(accept));
  inner("refused", "red", x(accept), W);
  const drawn = `drawn u = ${prob(uniform)}`;
  const size = measure(drawn, 650);
  put(drawn, "strong", nudge([{ at: x(uniform), width: size }], 0, W)[0], size, Y - 17);
  return made;
}

/** @param {Chances} facts */
export function bar(facts) {
  const root = svg("svg", { viewBox: `0 0 ${W} 82`, class: "abar", role: "img", preserveAspectRatio: "xMinYMin meet" });
  root.setAttribute(
    "aria-label",
    `Drawn ${fixed(facts.uniform)}; kept below ${fixed(facts.accept)}; strict keeps below ${fixed(facts.strict)}`,
  );
  /** @param {number} value */
  const x = (value) => Math.max(0, Math.min(1, value)) * W;
  /**
   * @param {keyof SVGElementTagNameMap} name
   * @param {Record<string, string | number>} attributes
   * @param {...any} content
   */
  const add = (name, attributes, ...content) => root.append(svg(name, attributes, ...content));
  /**
   * @param {number} at
   * @param {number} from
   * @param {number} to
   * @param {string} color
   * @param {number} width
   */
  const upright = (at, from, to, color, width) =>
    add("line", { x1: at, x2: at, y1: from, y2: to, stroke: color, "stroke-width": width });
  const hatch = svg("pattern", {
    id: "sv-hatch",
    width: 6,
    height: 6,
    patternUnits: "userSpaceOnUse",
    patternTransform: "rotate(45)",
  });
  hatch.append(svg("line", { x1: 0, y1: 0, x2: 0, y2: 6, stroke: "var(--red)", "stroke-width": 1, opacity: 0.35 }));
  const defs = svg("defs", {});
  defs.append(hatch);
  root.append(defs);
  add("rect", { x: 0.5, y: Y, width: W - 1, height: TALL, fill: "url(#sv-hatch)", stroke: "var(--line2)" });
  const both = x(Math.min(facts.strict, facts.accept));
  add("rect", { x: 0, y: Y, width: both, height: TALL, fill: "var(--mute)" });
  if (facts.accept > facts.strict) {
    const [from, to] = [x(facts.strict), x(facts.accept)];
    add("rect", { x: from, y: Y, width: to - from, height: TALL, fill: "var(--amber-bg)" });
    add("rect", { x: from, y: Y + TALL - 2.5, width: to - from, height: 2.5, fill: "var(--amber)" });
    upright(Math.min(W - 1, to), Y - 3, Y + TALL + 3, "var(--amber)", 2);
  }
  upright(x(facts.strict), Y - 3, Y + TALL + 3, "var(--ink)", 1.5);
  const u = x(facts.uniform);
  upright(u, Y - 6, Y + TALL, "var(--ink)", 2);
  add("path", { d: `M${u - 5} ${Y - 13}h10l-5 8z`, fill: "var(--ink)" });
  labels(facts, widthOf).forEach(({ text, kind, left, line }) => add("text", { x: left, y: line, class: kind }, text));
  return root;
}
