// Acceptance against true divergence: a mark per row, a thin line per knob, and the frontier no rule can cross.
import { boot } from "specviz/core/boot.js";
import { el, set } from "specviz/core/dom.js";
import { nats, percent } from "specviz/core/formats.js";
import { stroke } from "specviz/laws/twins.js";
import * as card from "specviz/parts/card.js";
import { head } from "specviz/parts/figure.js";
import { glyph, put, svg } from "specviz/parts/svg.js";
import * as labels from "specviz/playground/labels.js";
import { groups, text, words } from "specviz/playground/naming.js";
import * as play from "specviz/playground/play.js";
import { state } from "specviz/playground/play.js";
import { title } from "specviz/playground/title.js";

/** @typedef {import("specviz/playground/play.js").Row} Row */
/** @typedef {import("specviz/playground/labels.js").Point} Point */
/** @typedef {import("specviz/playground/naming.js").At} At */
/** @typedef {import("specviz/playground/naming.js").Frame} Frame */
/** @typedef {import("specviz/playground/naming.js").Group} Group */
/** @typedef {import("specviz/playground/naming.js").Hidden} Hidden */

const FIGURE = 760; // px wide, in a figure
/** @typedef {{  svg: SVGSVGElement, holder: HTMLElement, caption: HTMLElement, beyond: HTMLElement }} Parts */
const parts = /** @type {Parts} */ ({});
let axes = { x: 0.1, y: 0 };

/** @param {Point[]} points */
const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join("");
// The range worth seeing: all of the frontier's rise, and the rows near it. What lies outside is named at the edge.
function range() {
  const { frontier, rows, focus } = play.now;
  const rise = Math.max(frontier.end.kl, 0.004);
  const near = rows.filter((one) => one.kl <= 1.45 * rise).map((one) => one.kl);
  const most = Math.max(rise * 1.22, ...near.map((kl) => kl * 1.12), Number.isFinite(focus.kl) ? focus.kl * 1.12 : 0);
  const strict = frontier.start.acceptance;
  const floor = Math.max(0, Math.min(strict - 0.3 * (1 - strict) - 0.03, focus.acceptance - 0.03));
  const low = Math.floor(floor * 10) / 10;
  axes = state.moving ? { x: Math.max(axes.x, most), y: Math.min(axes.y, low) } : { x: most, y: low };
}

// Round values between `from` and `to`, counted from `anchor`.
/**
 * @param {number} from
 * @param {number} to
 * @param {number} many
 * @param {number} anchor
 */
const ticksOf = (from, to, many, anchor) => {
  const step =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20].find(
      (size) => (to - from) / size <= many,
    ) || 50;
  const sign = anchor === to ? -1 : 1;
  return Array.from(
    { length: Math.floor((to - from) / step + 1e-9) + 1 },
    (_, i) => +(anchor + sign * i * step).toFixed(6),
  );
};

/**
 * @param {At} at
 * @param {Frame} box
 * @param {boolean} narrow
 */
function grid(at, box, narrow) {
  /** @param {string} anchor */
  const quiet = (anchor) => ({ "text-anchor": anchor, "font-size": 11, fill: "var(--ink3)" });
  /** @param {number} tick */
  const level = (tick) => at(0, tick)[1];
  return svg(
    "g",
    null,
    ticksOf(axes.y, 1, narrow ? 5 : 6, 1).map((tick) => [
      svg("line", { x1: box.left, x2: box.right, y1: level(tick), y2: level(tick), stroke: "var(--grid)" }),
      text(`${Math.round(tick * 100)}${tick === 1 ? " %" : ""}`, box.left - 9, level(tick) + 4, quiet("end")),
    ]),
    svg("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, stroke: "var(--line2)" }),
    ticksOf(0, axes.x, narrow ? 4 : 6, 0).map((tick) =>
      text(String(tick), at(tick, 0)[0], box.bottom + 17, quiet("middle")),
    ),
    text(
      narrow ? "true divergence, nats" : "true divergence, KL(output law ‖ verifier), nats",
      box.right,
      box.bottom + 34,
      { ...quiet("end"), "data-axis": true },
    ),
  );
}

// The line of a knob: {points, node}. A knob that only jumps shows its few points, and only while its rule is in focus.
/**
 * @param {import("specviz/playground/play.js").Line} line
 * @param {At} at
 * @param {(point: Point) => boolean} seen
 */
function trace(line, at, seen) {
  const own = line.rule === play.now.focus.rule;
  const { color, width: wide, dash } = stroke(line.rule);
  const points = line.points
    .map((point) => at(point.kl, point.acceptance))
    .filter((point) => Number.isFinite(point[0]));
  if (line.distinct < 2 || points.length < 2 || (line.steps && !own)) return { points: [], node: null };
  const near = points.filter(seen);
  if (!line.steps)
    return {
      points: near,
      node: svg("path", {
        d: path(points),
        fill: "none",
        stroke: `var(--${own ? "ink" : color})`,
        "stroke-width": own ? Math.max(1.6, wide * 0.8) : 0.9,
        "stroke-dasharray": own ? null : dash || null,
        opacity: own ? 1 : 0.8,
      }),
    };
  const places = new Set(near.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`));
  return {
    points: near,
    node: svg(
      "g",
      null,
      [...places].map((place) =>
        svg("circle", { cx: place.split(",")[0], cy: place.split(",")[1], r: 2.2, fill: `var(--${color})` }),
      ),
    ),
  };
}

/** @param {Group} group */
function mark(group) {
  const focus = () => {
    state.focus = group.rows[0].id;
    play.changed("focus");
  };
  /** @param {PointerEvent & { currentTarget: Element }} event */
  const hover = (event) => {
    if (event.pointerType === "mouse") tell(event.currentTarget, group);
  };
  return svg(
    "g",
    {
      transform: `translate(${group.x.toFixed(1)},${group.y.toFixed(1)})`,
      class: "mark",
      onclick: focus,
      onpointerenter: hover,
      onpointerleave: () => card.hide(),
    },
    svg("circle", { "data-live": true, r: 14, fill: "transparent" }),
    group.strong ? svg("circle", { r: 9, fill: "none", stroke: "var(--ink)", "stroke-width": 1.4 }) : null,
    glyph(group.rows[0].rule, 4.2),
  );
}

export function render(wide = parts.holder.clientWidth) {
  if (!wide) return;
  range();
  const { frontier, lines } = play.now;
  const narrow = wide < 520;
  const tall = narrow ? 330 : 372;
  const box = { left: 44, right: wide - (narrow ? 12 : 40), edge: wide, ceiling: 12, top: 34, bottom: tall - 58 };
  /**
   * @param {number} kl
   * @param {number} acceptance
   * @returns {Point}
   */
  const at = (kl, acceptance) => [
    Number.isFinite(kl) ? box.left + (kl / axes.x) * (box.right - box.left) : Infinity,
    box.bottom - ((acceptance - axes.y) / (1 - axes.y)) * (box.bottom - box.top),
  ];
  /** @param {Point} point */
  const seen = ([x, y]) => Number.isFinite(x) && x <= box.right && y <= box.bottom + 6;

  const curve = frontier.curve(90).map((point) => at(point.kl, point.acceptance));
  curve.push([box.right, at(0, frontier.end.acceptance)[1]]);
  const traces = lines.map((line) => trace(line, at, seen));
  const strokes = [...labels.dense(curve, 5), ...traces.flatMap((one) => labels.dense(one.points, 7))];
  const { found, hidden } = groups(at, box, narrow ? 2 : 3);
  const hatch = svg(
    "pattern",
    { id: "sv-beyond", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("line", { x1: 0, y1: 0, x2: 0, y2: 7, stroke: "var(--line2)", "stroke-width": 1 }),
  );
  const clip = svg(
    "clipPath",
    { id: "sv-within" },
    svg("rect", {
      x: box.left - 8,
      y: box.ceiling,
      width: box.right - box.left + 8,
      height: box.bottom - box.ceiling + 8,
    }),
  );
  put(parts.svg, { width: wide, height: tall, viewBox: `0 0 ${wide} ${tall}` });
  parts.svg.replaceChildren(
    svg("defs", null, hatch, clip),
    svg("path", {
      d: `${path(curve)}L${box.right},${box.ceiling}L${box.left},${box.ceiling}Z`,
      fill: "url(#sv-beyond)",
    }),
    grid(at, box, narrow),
    svg(
      "g",
      { "clip-path": "url(#sv-within)" },
      traces.map((one) => one.node),
    ),
    svg("path", {
      d: path(curve),
      fill: "none",
      stroke: "var(--amber)",
      "stroke-width": 3.5,
      "stroke-linejoin": "round",
      "stroke-linecap": "round",
    }),
    svg("g", null, found.map(mark)),
    words(found, curve, strokes, box),
  );
  outside(hidden);
  describe(frontier);
}

/**
 * @param {Element} node
 * @param {Group} group
 */
function tell(node, group) {
  card.tell(node, group.rows.map(title).slice(0, 4).join(", "), [
    `Accepts ${percent(group.rows[0].acceptance, 1)} % at ${nats(group.rows[0].kl)} nats.`,
    group.rows[0].short > 5e-4
      ? `The best rule accepts ${percent(group.rows[0].short, 1)} points more there.`
      : "No rule accepts more there.",
    boot.rules[group.rows[0].rule].summary,
  ]);
}

// Rows beyond the edges of the plot, in words under it.
/** @param {Hidden} hidden */
function outside({ right, below }) {
  /** @param {Row} one */
  const say = (one) => [
    el(
      "button.link",
      {
        type: "button",
        onclick: () => {
          state.focus = one.id;
          play.changed("focus");
        },
      },
      title(one),
    ),
    ` ${percent(one.acceptance)} % at ${nats(one.kl)}`,
  ];
  /**
   * @param {Row[]} rows
   * @param {string} lead
   */
  const list = (rows, lead) =>
    rows.length
      ? [
          lead,
          rows.slice(0, 6).flatMap((one, i) => [i ? ", " : "", ...say(one)]),
          rows.length > 6 ? ` and ${rows.length - 6} more` : "",
          ". ",
        ]
      : [];
  parts.beyond.replaceChildren(...[list(right, "Further right → "), list(below, "Further down ↓ ")].flat(2));
}

/** @param {import("specviz/playground/play.js").Now["frontier"]} frontier */
function describe(frontier) {
  const reach =
    frontier.outside > 0
      ? `The frontier ends at ${percent(frontier.end.acceptance, 1)} %: the verifier rules out ` +
        `${percent(frontier.outside, 1)} % of the draft, and only an infinite divergence keeps that.`
      : `Everything can be kept from ${nats(frontier.end.kl)} nats on: there the draft itself is written.`;
  set(parts.caption, `Each mark is a rule, each thin line its knob. ${reach}`);
  put(parts.svg, {
    "aria-label":
      `Acceptance against true divergence. Strict sampling accepts ${percent(frontier.start.acceptance, 1)} % ` +
      `at 0 nats. ${reach} The table below holds every rule's numbers.`,
  });
}

const AXES = ["KL(output law ‖ verifier), nats", "acceptance, %"];

// The chart for a talk, at a width of its own.
function figure() {
  const { frontier, rows, focus } = play.now;
  const drawn = () => {
    render(FIGURE);
    const copy = /** @type {SVGSVGElement} */ (parts.svg.cloneNode(true));
    render();
    return copy;
  };
  /**
   * @param {string} series
   * @param {{ kl: number, acceptance: number }} at
   * @param {string} more
   */
  const point = (series, { kl, acceptance }, more = "") => [series, kl, 100 * acceptance, more];
  return {
    title: "Acceptance against true divergence",
    subtitle: "Each mark is a rule, each thin line its knob; beyond the thick line no rule can be.",
    axes: AXES,
    foot: [`${state.names.length} tokens`, `in focus: ${title(focus)}`, "exact"],
    draw: drawn,
    rows: [
      ["series", ...AXES, "knobs"],
      ...rows.map((one) =>
        point(
          one.rule,
          one,
          Object.entries(one.knobs)
            .map((pair) => pair.join("="))
            .join(" "),
        ),
      ),
      ...frontier.curve(100).map((one) => point("best any rule can do", one)),
    ],
  };
}

export function build() {
  parts.svg = svg("svg", { class: "playchart", role: "img" });
  parts.holder = el("div.chartholder", null, parts.svg);
  parts.caption = el("p.caption");
  parts.beyond = el("p.caption.beyond");
  let seen = 0;
  new ResizeObserver(() => {
    const now = parts.holder.clientWidth;
    if (now && now !== seen && play.now) {
      seen = now;
      render();
    }
  }).observe(parts.holder);
  return el(
    "section.plot.playfigure",
    { "aria-label": "Acceptance against true divergence" },
    head("Acceptance against true divergence", parts.caption, figure, el("span.badge.exact", null, "exact")),
    parts.holder,
    parts.beyond,
  );
}
