// The frame of the plots: they read the run on display, follow the playhead and keep the reader's zoom. Plotly is
// fetched only when they come near the screen. Each plot is a file of its own in plots/, found by lying there, that
// exports
//   {title, place, draw(ink, mode) -> {subtitle, title?, more?, kind?, axes, data, layout, rows?} or null, modes?, served?}
// `subtitle` fits into two lines, `more` is what there is to say besides. `axes` are the names of both axes in words, for
// figures. `title` stands instead of the plot's own. `rows` are the numbers, heads first; without them they are those of the traces of `data` that have a name.
// What names an axis on the page is a note with the name "axis".
// `served(redraw)` is for a plot that asks the server: it gives what stands above the plot, which stays empty until
// `draw` has something. Without a server there is no such plot.
import { offline } from "specviz/core/boot.js";
import { el, inks, inside, set } from "specviz/core/dom.js";
import { on } from "specviz/core/events.js";
import { sampled } from "specviz/core/formats.js";
import { measured, onDisplay, pick, state } from "specviz/core/state.js";
import { buttons } from "specviz/parts/figure.js";
import { CONFIG, load, plotly } from "specviz/parts/plotly.js";
import * as models from "specviz/compare/models.js";
import * as timeline from "specviz/compare/timeline.js";
import { DOT, path } from "specviz/compare/tools.js";

/**
 * A plot on the page. `cost`, `drawn`, ms: how long drawing it took, when that was; `due`: when it may be drawn again.
 * @typedef {Pick<Plot, "title" | "draw" | "served"> & {
 *   mode: string, node: HTMLElement, heading: HTMLElement, words: HTMLElement, subtitle: HTMLElement,
 *   more: HTMLButtonElement, rest: HTMLElement, badge: HTMLElement, graph: Graph, stale: boolean, seen: boolean, wide: boolean, wired: boolean,
 *   drawn: number, cost: number, due: () => number,
 * }} Card
 */

/** @type {Plot[]} */
let kinds = [];
/** @type {Card[]} */
export const cards = [];
const LONG = 50; // ms: a drawing that takes longer is felt

// Brings the plots of these names, which `build` puts in their order.
/** @param {string[]} names */
export async function find(names) {
  const loaded = await Promise.all(names.map((name) => import(`specviz/compare/plots/${name}.js`)));
  kinds = loaded.map((module) => module.default).sort((a, b) => a.place - b.place);
}

// On the page the accepted tokens, which are most, are one path of dots; compare.css rounds lines of this width.
// Their trace stays, for what it says when pointed at. A picture gets them as marks.
/**
 * @param {Plotted} plotted
 * @returns {Plotted}
 */
function light({ data, layout, ...rest }) {
  const many = data.filter((trace) => trace.name === "accepted");
  const shapes = many.flatMap(({ x = [], y = [], marker = {} }) =>
    path(
      x,
      (at, i) => `M${at},${y[i]}L${at},${y[i]}`,
      { color: marker.color, width: DOT },
      { opacity: marker.opacity },
    ),
  );
  return {
    ...rest,
    data: data.map((trace) => (many.includes(trace) ? { ...trace, mode: "none" } : trace)),
    layout: { ...layout, shapes: [...shapes, ...(layout.shapes || [])] },
  };
}

// What the run on display is of.
function of() {
  const { trace } = onDisplay();
  const lengths = [...new Set(trace.lanes.filter((lane) => lane.rule).map((lane) => lane.draft_length))];
  const drafted = lengths.length ? [`draft length ${lengths.join(", ")}`] : [];
  return [models.titled(trace), sampled(trace.sampling), ...drafted, `seed ${trace.seed}`, measured()];
}

// What there is to say of a plot besides its subtitle: a word that opens it, and says it when pointed at.
/** @param {Card} made */
function rest(made) {
  made.rest = el("p.caption", { hidden: true });
  made.more = el("button.more", { type: "button", hidden: true, "aria-expanded": "false" }, "more");
  made.more.addEventListener("click", () => {
    made.rest.hidden = !made.rest.hidden;
    made.more.setAttribute("aria-expanded", String(!made.rest.hidden));
    set(made.more, made.rest.hidden ? "more" : "less");
  });
}

/**
 * @param {Card} made
 * @param {{ subtitle: string, more?: string }} more
 */
function told(made, { subtitle, more = "" }) {
  set(made.words, subtitle);
  set(made.rest, more);
  made.more.hidden = !more;
  made.more.title = more;
  if (!more) made.rest.hidden = true;
}

/** @param {Plot} plot */
function card({ title, draw, modes = [], served }) {
  const made = /** @type {Card} */ ({
    ...{ title, draw, served, mode: modes.length ? modes[0][0] : "" },
    graph: /** @type {unknown} */ (el("div.canvas", { role: "img", "aria-label": title })),
  });
  /** @returns {Figure | null} */
  const figure = () => {
    const drawn = state.run && made.draw(inks(), made.mode);
    return drawn && { title, ...drawn, foot: of() };
  };
  rest(made);
  made.words = el("span");
  made.subtitle = el("p.caption", null, made.words, made.more);
  made.heading = el("h2", null, title);
  made.badge = el("span.badge.exact", null, "exact");
  const choices = modes.map(([mode, words]) =>
    el(
      "button",
      {
        type: "button",
        "aria-pressed": String(mode === made.mode),
        onclick: (event) => {
          made.mode = mode;
          choices.forEach((one) => one.setAttribute("aria-pressed", String(one === event.currentTarget)));
          refresh(made);
        },
      },
      words,
    ),
  );
  made.node = el(
    served ? "section.plot.wide" : "section.plot",
    { "aria-label": title },
    el("div.rowspread", null, made.heading, el("div.tools", null, choices, buttons(title, figure))),
    el("div.rowspread", null, made.subtitle, made.badge),
    made.rest,
    served ? served(soon) : null,
    made.graph,
  );
  if (served) empty(made);
  cards.push(made);
  return made.node;
}

// A plot that has nothing to show yet takes no space, and none of its tools are there.
/**
 * @param {Card} made
 * @param {boolean} on
 */
function empty(made, on = true) {
  made.graph.hidden = on;
  made.badge.hidden = on;
  inside(made.node, ".tools").hidden = on;
  if (on) told(made, { subtitle: "" });
}

/**
 * @param {Card} made
 * @param {boolean} bare
 */
function refresh(made, bare = false) {
  if (!window.Plotly || !state.run) return;
  const drawn = made.draw(inks(), made.mode);
  if (made.served) empty(made, !drawn);
  if (!drawn) return;
  const figure = light(drawn);
  set(made.heading, figure.title ?? made.title);
  told(made, figure);
  made.badge.className = `badge ${figure.kind || "exact"}`;
  set(made.badge, figure.kind || "exact");
  if (made.mode) figure.layout.uirevision = made.mode;
  plotly().react(made.graph, bare ? [] : figure.data, figure.layout, CONFIG);
  if (!made.wired) {
    made.wired = true;
    made.graph.on("plotly_click", ({ points }) => {
      const at = points[0]?.customdata;
      if (at) pick(at[0], at[1]);
    });
  }
}

let ticket = 0;
let warm = false;
let free = 0; // when the next card may be drawn: while things move, all of them together take a fifth of the time

// Draws the card that has waited longest, each in a task of its own, so that no frame is held up by all of them. The
// very first drawing, which also sets Plotly up, is without data for the same reason.
function turn() {
  ticket = 0;
  const now = performance.now();
  const made = cards.filter((one) => one.stale && one.due() <= now).sort((a, b) => a.drawn - b.drawn)[0];
  if (made) {
    made.stale = !warm;
    refresh(made, !warm);
    if (warm) {
      const end = performance.now();
      made.cost = made.drawn ? end - now : 0; // the first time says little about the next
      made.drawn = end;
      free = moving() ? end + 4 * (end - now) : 0;
    }
    warm = true;
  }
  wake();
}

// A card is drawn a fifth of the time, and while things move a tenth of it and four times a second at most. One that
// takes longer than a person fails to notice waits for the end of a run that is streaming.
/** @param {Card} made */
function due(made) {
  if (!made.seen && (made.drawn || !made.wide)) return Infinity;
  if (!moving()) return made.drawn + 4 * made.cost;
  return state.live && made.cost > LONG ? Infinity : made.drawn + Math.max(250, 10 * made.cost);
}

const moving = () => state.playing || state.live || timeline.dragging();

function wake() {
  if (ticket || !window.Plotly) return;
  const next = Math.min(...cards.filter((one) => one.stale).map((one) => one.due()));
  if (next < Infinity) ticket = setTimeout(turn, Math.max(0, Math.max(next, free) - performance.now()));
}

function soon() {
  cards.forEach((made) => {
    made.stale = true;
  });
  clearTimeout(ticket);
  ticket = 0;
  wake();
}

// Fetched when the page has nothing better to do: running it takes longer than a frame.
function fetchIdle() {
  if (state.live || !state.run) return;
  const idle = window.requestIdleCallback || setTimeout;
  idle(() => {
    if (!state.live)
      load().then(soon, () => cards.forEach((made) => set(made.words, "The plots could not be loaded.")));
  });
}

export function build() {
  const made = kinds.filter((kind) => !kind.served || !offline).map(card);
  const upper = el("div.plots.upper", null, made.slice(0, 2));
  const lower = el("div.plots", null, made.slice(2));
  const watcher = new IntersectionObserver(
    (seen) => {
      seen.forEach((one) => {
        const made = cards.find((each) => each.node === one.target);
        if (made) Object.assign(made, { seen: one.isIntersecting, wide: one.boundingClientRect.width > 0 });
      });
      wake();
    },
    { rootMargin: "200px" },
  );
  cards.forEach((one) => {
    Object.assign(one, { stale: true, seen: false, wide: false, drawn: 0, cost: 0, due: () => due(one) });
    watcher.observe(one.node);
  });
  on("run append time pick columns whatif theme ended rest", soon);
  on("run ended", fetchIdle);
  return [upper, lower];
}
