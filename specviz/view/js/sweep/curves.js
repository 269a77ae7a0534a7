// The two plots of a sweep on the page, and as figures.
import { el, framed, inks, set } from "specviz/core/dom.js";
import { on } from "specviz/core/events.js";
import { buttons } from "specviz/parts/figure.js";
import { CONFIG, load, plotly } from "specviz/parts/plotly.js";
import { draw, FIGURE, HEIGHT, KEPT, KINDS, MARGIN } from "specviz/sweep/plotted.js";

/** @typedef {import("specviz/sweep/plotted.js").Kind} Kind */
/**
 * A plot on the page.
 * @typedef {{ kind: Kind, graph: Graph, caption: HTMLElement, node: HTMLElement, wired: boolean }} Card
 */
/** @typedef {(rule: string, graph: HTMLElement) => void} Press */

/** @type {Card[]} */
const cards = [];
/** @type {SweepMessage | null} */
let shown = null; // the message on display
/** @type {SweepMessage | null} */
let ghost = null; // the one before it, faint until there are points
/** @type {Press} */
let pressed = () => {}; // hears the rule of a point
/** @type {() => string[]} */
let of = () => []; // what the sweep on display is of, for figures

function refresh() {
  if (!shown || !window.Plotly) return;
  const message = shown;
  cards.forEach((made) => {
    if (!made.graph.clientWidth) return;
    const room = {
      wide: Math.max(120, made.graph.clientWidth - MARGIN.l - MARGIN.r),
      tall: HEIGHT - MARGIN.t - MARGIN.b,
    };
    const drawn = draw(message, ghost, made.kind, inks(), room);
    const away = drawn.away ? ` Not drawn: ${drawn.away} of infinite divergence.` : "";
    const before = "Faint: the sweep before, until the first points are there.";
    set(made.caption, drawn.faint ? before : `${made.kind.words}.${away}`);
    plotly().react(made.graph, drawn.data, drawn.layout, CONFIG);
    if (made.wired) return;
    made.wired = true;
    made.graph.on("plotly_click", ({ points }) => pressed(points[0]?.customdata, made.graph));
  });
}

// Puts a message on display, once Plotly is there. `before`: the one that stays, faint, until it has points.
/**
 * @param {SweepMessage} message
 * @param {SweepMessage | null} before
 */
export function show(message, before = null) {
  shown = message;
  ghost = before;
  if (window.Plotly) return refresh();
  load().then(refresh, () => cards.forEach((made) => set(made.caption, "The plots could not be loaded.")));
}

// What is said of a setting, in both plots at once; of none with null.
/** @param {string | null} rule */
export function point(rule) {
  cards.forEach(({ graph }) => {
    const found = (graph.data || [])
      .flatMap((line, curveNumber) =>
        (line.customdata ?? []).map((one, pointNumber) => ({ one, curveNumber, pointNumber })),
      )
      .find(({ one }) => one === rule);
    if (found) plotly().Fx.hover(graph, [{ curveNumber: found.curveNumber, pointNumber: found.pointNumber }]);
    else if (graph.data) plotly().Fx.unhover(graph);
  });
}

// `press` is called with the rule of a point that was pressed; `described` says what is on display, for figures.
/**
 * @param {Press} press
 * @param {() => string[]} described
 */
export function build(press, described) {
  pressed = press;
  of = described;
  Object.values(KINDS).forEach((kind) => {
    const title = `${kind.title} against tokens kept`;
    const graph = /** @type {Graph} */ (
      /** @type {unknown} */ (el("div.canvas", { role: "img", "aria-label": title }))
    );
    const caption = el("p.caption", null, `${kind.words}.`);
    /** @returns {Figure | null} */
    const figure = () => {
      if (!shown) return null;
      return {
        title,
        subtitle: `${kind.words}.`,
        axes: [KEPT, kind.axis],
        foot: of(),
        ...draw(shown, ghost, kind, inks(), FIGURE),
      };
    };
    const node = el(
      "section.plot",
      { "aria-label": title },
      el("div.rowspread", null, el("h3", null, title), el("div.tools", null, buttons(title, figure))),
      caption,
      graph,
    );
    cards.push({ kind, graph, caption, node, wired: false });
  });
  on("theme", refresh);
  const watcher = new ResizeObserver(framed(refresh)); // words are placed anew for the new width
  cards.forEach((made) => watcher.observe(made.graph));
  return el(
    "div.sweepplots",
    null,
    cards.map((made) => made.node),
  );
}
