// What is drawn of several candidates for one place: acceptance against their number, and which tokens are among them.
import { el, set } from "specviz/core/dom.js";
import { named, percent } from "specviz/core/formats.js";
import * as sets from "specviz/laws/sets.js";
import { head } from "specviz/parts/figure.js";
import { nudge } from "specviz/parts/nudge.js";
import { put, shape, svg, width } from "specviz/parts/svg.js";

/** @typedef {[x: number, y: number]} Point */
/**
 * What is drawn.
 * @typedef {Pick<import("specviz/playground/play.js").State, "names" | "draft" | "verifier"> & {
 *   k: number, drawing: string, table: ReturnType<typeof sets.table>, covered: number[],
 * }} Shown
 */
/** @typedef {{ name: string, points: Point[], look: Twin["stroke"], strong?: boolean }} Line of [k, acceptance] */

const FIGURE = 760; // px wide, in a figure
const TALL = 300;
/**
 * @typedef {{
 *   fresh: () => void, covercaption: HTMLElement, cover: SVGSVGElement, chart: SVGSVGElement,
 *   chartbox: HTMLElement, coverbox: HTMLElement,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({});
/** @type {Shown | null} */
let shown = null; // as last drawn

/** @param {Point[]} points */
const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join("");
/**
 * @param {string} words
 * @param {number} x
 * @param {number} y
 * @param {Record<string, unknown>} more
 */
const text = (words, x, y, more = {}) => svg("text", { x, y, "font-size": 11.5, fill: "var(--ink2)", ...more }, words);
/** @param {string} anchor */
const quiet = (anchor) => ({ "text-anchor": anchor, "font-size": 11, fill: "var(--ink3)" });

// The lines of the plot: {name, points: [k, acceptance], how it is drawn}.
/**
 * @param {Shown["table"]} table
 * @returns {Line[]}
 */
function lines(table) {
  return Object.keys(sets.sets)
    .map((name) => ({
      name,
      points: table.flatMap(({ k, rules }) =>
        rules[name] ? [/** @type {Point} */ ([k, rules[name].acceptance])] : [],
      ),
      look: sets.sets[name].stroke,
    }))
    .filter(({ points }) => points.length);
}

// Labels at the right end of lines, apart from each other; lines that end in one place share one.
/**
 * @param {Pick<Line, "name" | "points" | "strong">[]} drawn
 * @param {(k: number, acceptance: number) => Point} at
 * @param {{ right: number, top: number, bottom: number }} box
 */
function ends(drawn, at, box) {
  /** @type {{ x: number, y: number, names: string[], strong?: boolean, line?: number }[]} */
  const found = [];
  drawn.forEach(({ name, points, strong }) => {
    const [x, y] = at(...points[points.length - 1]);
    const same = found.find((one) => one.x === x && Math.abs(one.y - y) < 2.5);
    if (same) {
      same.names.push(name);
      same.strong = same.strong || strong;
    } else found.push({ x, y, names: [name], strong });
  });
  const right = found.filter(({ x }) => x === box.right);
  nudge(
    right.map(({ y }) => ({ at: y, width: 13 })),
    box.top - 8,
    box.bottom + 4,
    2,
  ).forEach((top, i) => {
    right[i].line = top + 10;
  });
  return found.map(({ x, y, line, names, strong }) =>
    text(names.join(", "), line ? x + 12 : x + 9, line ?? y - 8, {
      ...{ stroke: "var(--ground)", "stroke-width": 3.5, "stroke-linejoin": "round", "paint-order": "stroke" },
      fill: `var(--${strong ? "amber-ink" : "ink2"})`,
      "font-weight": strong ? 600 : null,
    }),
  );
}

/**
 * @param {Shown} shown
 * @param {number} wide
 */
function chart(shown, wide) {
  const { table } = shown;
  const drawn = lines(table);
  /** @type {Pick<Line, "name" | "points" | "strong">} */
  const best = { name: "optimum", points: table.map(({ k, optimum }) => [k, optimum]), strong: true };
  const names = [best, ...drawn].map(({ name }) => name);
  const box = {
    left: 44,
    right: Math.max(wide * 0.5, wide - 26 - width(names.join(", ").slice(0, 34), 11.5)),
    top: 20,
    bottom: TALL - 44,
  };
  const values = [best, ...drawn].flatMap(({ points }) => points.map(([, acceptance]) => acceptance));
  const low = Math.floor(Math.max(0, Math.min(...values) - 0.04) * 10) / 10;
  /**
   * @param {number} k
   * @param {number} acceptance
   * @returns {Point}
   */
  const at = (k, acceptance) => [
    box.left + ((k - 1) / (sets.MOST - 1)) * (box.right - box.left),
    box.bottom - ((acceptance - low) / (1 - low)) * (box.bottom - box.top),
  ];
  const step = 1 - low > 0.5 ? 0.2 : 0.1;
  const levels = Array.from({ length: Math.floor((1 - low) / step + 1e-9) + 1 }, (_, i) => 1 - i * step);
  const [here] = at(shown.k, 1);
  const top = path(best.points.map((point) => at(...point)));
  put(parts.chart, { width: wide, height: TALL, viewBox: `0 0 ${wide} ${TALL}` });
  parts.chart.replaceChildren(
    svg(
      "defs",
      null,
      svg(
        "pattern",
        { id: "sv-above", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
        svg("line", { x1: 0, y1: 0, x2: 0, y2: 7, stroke: "var(--line2)", "stroke-width": 1 }),
      ),
    ),
    svg("path", { d: `${top}L${box.right},${box.top - 8}L${box.left},${box.top - 8}Z`, fill: "url(#sv-above)" }),
    ...levels.map((level) => {
      const [, y] = at(1, level);
      return svg(
        "g",
        null,
        svg("line", { x1: box.left, x2: box.right, y1: y, y2: y, stroke: "var(--grid)" }),
        text(`${Math.round(100 * level)}${level === 1 ? " %" : ""}`, box.left - 9, y + 4, quiet("end")),
      );
    }),
    svg("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, stroke: "var(--line2)" }),
    svg("line", { x1: here, x2: here, y1: box.top - 8, y2: box.bottom, stroke: "var(--ink)", "stroke-width": 1 }),
    ...table.map(({ k }) =>
      text(String(k), at(k, low)[0], box.bottom + 17, {
        ...quiet("middle"),
        ...(k === shown.k ? { fill: "var(--ink)", "font-weight": 600 } : {}),
      }),
    ),
    text("candidates", box.right, box.bottom + 34, { ...quiet("end"), "data-axis": true }),
    ...drawn.map(({ points, look: [color, thick, dash] }) =>
      svg("path", {
        d: path(points.map((point) => at(...point))),
        fill: "none",
        stroke: `var(--${color})`,
        "stroke-width": thick,
        "stroke-dasharray": dash || null,
      }),
    ),
    svg("path", { d: top, fill: "none", stroke: "var(--amber)", "stroke-width": 3.5, "stroke-linejoin": "round" }),
    ...drawn.flatMap(({ points, look }) =>
      points.map((point) => {
        const [x, y] = at(...point);
        return svg("g", { transform: `translate(${x.toFixed(1)},${y.toFixed(1)})` }, shape(look, 3.6));
      }),
    ),
    ...ends([best, ...drawn], at, box),
  );
}

// Of each token: the draft's probability as an outline, the chance to be among the candidates filled, the verifier's as a tick.
/**
 * @param {Shown} shown
 * @param {number} wide
 */
function cover(shown, wide) {
  const { covered } = shown;
  const box = { left: 44, right: wide - 8, top: 20, bottom: TALL - 44 };
  const each = (box.right - box.left) / shown.names.length;
  const most = Math.max(...covered, ...shown.verifier, 0.1);
  const ceiling = [0.1, 0.2, 0.4, 0.6, 0.8, 1].find((value) => value >= most - 1e-9) ?? 1;
  /** @param {number} value */
  const y = (value) => box.bottom - (Math.min(value, ceiling) / ceiling) * (box.bottom - box.top);
  const bar = Math.min(46, each * 0.56);
  const fits = Math.max(2, Math.floor((each - 4) / 7.3));
  put(parts.cover, { width: wide, height: TALL, viewBox: `0 0 ${wide} ${TALL}` });
  parts.cover.setAttribute(
    "aria-label",
    shown.names.map((name, i) => `${named(name)} ${percent(covered[i])} %`).join(", "),
  );
  parts.cover.replaceChildren(
    ...[0, 0.5, 1].map((share) => {
      const level = share * ceiling;
      return svg(
        "g",
        null,
        svg("line", {
          x1: box.left,
          x2: box.right,
          y1: y(level),
          y2: y(level),
          stroke: `var(--${share ? "grid" : "line2"})`,
        }),
        text(`${+(100 * level).toFixed(0)}${share === 1 ? " %" : ""}`, box.left - 9, y(level) + 4, quiet("end")),
      );
    }),
    ...shown.names.map((name, i) => {
      const x = box.left + each * (i + 0.5) - bar / 2;
      const [draft, among, wanted] = [shown.draft[i], covered[i], shown.verifier[i]];
      const label = [...named(name)];
      return svg(
        "g",
        null,
        svg("rect", { x, y: y(among), width: bar, height: box.bottom - y(among), fill: "var(--mute)" }),
        svg("rect", {
          x: x + 0.75,
          y: y(draft),
          width: bar - 1.5,
          height: box.bottom - y(draft),
          fill: "none",
          stroke: "var(--ink2)",
          "stroke-width": 1.5,
        }),
        svg("line", {
          x1: x - 5,
          x2: x + bar + 5,
          y1: y(wanted),
          y2: y(wanted),
          stroke: "var(--ink)",
          "stroke-width": 2.5,
        }),
        text(
          label.length > fits ? `${label.slice(0, fits - 1).join("")}…` : label.join(""),
          x + bar / 2,
          box.bottom + 18,
          {
            "text-anchor": "middle",
            "font-size": 12,
            "font-family": "var(--mono)",
            fill: "var(--ink)",
            style: "unicode-bidi: isolate",
          },
        ),
        text(percent(among), x + bar / 2, box.bottom + 33, quiet("middle")),
      );
    }),
  );
}

/** @param {Shown} shown */
const words = (shown) => `${shown.k} ${shown.k === 1 ? "candidate" : "candidates"}, ${sets.DRAWINGS[shown.drawing]}`;

export function render(next = shown) {
  shown = next;
  if (!shown) return;
  set(
    parts.covercaption,
    `Filled: the chance to be among the candidates. Outline: to be the only one. Line: what the verifier wants.`,
  );
  put(parts.chart, {
    "aria-label": `Acceptance against the number of candidates, ${sets.DRAWINGS[shown.drawing]}. The table below holds the numbers.`,
  });
  if (parts.chartbox.clientWidth) chart(shown, parts.chartbox.clientWidth);
  if (parts.coverbox.clientWidth) cover(shown, parts.coverbox.clientWidth);
}

// Both for a talk, at a width of their own.
/**
 * @param {string} title
 * @param {string} subtitle
 * @param {string[]} axes
 * @param {(shown: Shown, wide: number) => void} draw
 * @param {() => SVGSVGElement} node
 * @param {(shown: Shown) => Cell[][]} rows
 * @returns {() => Figure | null}
 */
function figure(title, subtitle, axes, draw, node, rows) {
  return () => {
    parts.fresh();
    if (!shown) return null;
    draw(shown, FIGURE);
    const copy = /** @type {SVGSVGElement} */ (node().cloneNode(true));
    render();
    return { title, subtitle, axes, foot: [words(shown), "exact"], draw: () => copy, rows: rows(shown) };
  };
}

// `fresh` is called before anything is saved: what is far off the screen may not have been drawn yet.
/** @param {() => void} fresh */
export function build(fresh) {
  parts.fresh = fresh;
  parts.covercaption = el("p.caption");
  const title = ["Which tokens are among them", "Acceptance against the number of candidates"];
  [parts.cover, parts.chart] = title.map((words) => svg("svg", { role: "img", "aria-label": words }));
  parts.chartbox = el("div.chartholder", null, parts.chart);
  parts.coverbox = el("div.chartholder", null, parts.cover);
  const chartwords = "One of the candidates is written. Beyond the thick line no lossless rule can be.";
  const coverwords =
    "Filled: the chance to be among the candidates. Outline: to be the only one. Line: what the verifier wants.";
  const axes = [
    ["token", "chance, %"],
    ["candidates", "acceptance, %"],
  ];
  new ResizeObserver(() => render()).observe(parts.chartbox);
  return el(
    "div.playpair",
    null,
    el(
      "section.plot.playfigure",
      { "aria-label": title[0] },
      head(
        title[0],
        parts.covercaption,
        figure(
          title[0],
          coverwords,
          axes[0],
          cover,
          () => parts.cover,
          ({ names, covered, draft, verifier }) => [
            ["series", ...axes[0]],
            ...Object.entries({ "among the candidates": covered, draft, verifier }).flatMap(([series, probs]) =>
              probs.map((p, i) => [series, names[i], 100 * p]),
            ),
          ],
        ),
        el("span.badge.exact", null, "exact"),
      ),
      parts.coverbox,
    ),
    el(
      "section.plot.playfigure",
      { "aria-label": title[1] },
      head(
        title[1],
        el("p.caption", null, chartwords),
        figure(
          title[1],
          chartwords,
          axes[1],
          chart,
          () => parts.chart,
          ({ table }) => [
            ["series", ...axes[1]],
            ...table.map(({ k, optimum }) => ["optimum", k, 100 * optimum]),
            ...lines(table).flatMap(({ name, points }) => points.map(([k, acceptance]) => [name, k, 100 * acceptance])),
          ],
        ),
        el("span.badge.exact", null, "exact"),
      ),
      parts.chartbox,
    ),
  );
}
