// The two distributions as bars that can be dragged.
import { el, hit, set } from "specviz/core/dom.js";
import { named, nats, prob } from "specviz/core/formats.js";
import * as laws from "specviz/laws/laws.js";
import { head } from "specviz/parts/figure.js";
import { put, svg, width } from "specviz/parts/svg.js";
import { BASE, HEIGHT, LEFT, fit, ruling, y } from "specviz/playground/axis.js";
import { KINDS, column } from "specviz/playground/column.js";
import * as drag from "specviz/playground/drag.js";
import * as entry from "specviz/playground/entry.js";
import * as play from "specviz/playground/play.js";
import { state } from "specviz/playground/play.js";
import { title } from "specviz/playground/title.js";

const FIGURE = 760; // px wide, in a figure
/**
 * @typedef {{
 *   columns: import("specviz/playground/column.js").Column[], svg: SVGSVGElement, grid: SVGElement, over: SVGElement,
 *   each: number, holder: HTMLElement, caption: HTMLElement,
 * }} Parts
 */
const parts = /** @type {Parts} */ (/** @type {Partial<Parts>} */ ({ columns: [] }));

/**
 * @param {string} name
 * @param {number} room
 */
const short = (name, room) => {
  const shown = named(name);
  const fits = Math.max(3, Math.floor(room / 7.3));
  return [...shown].length > fits ? `${[...shown].slice(0, fits - 1).join("")}…` : shown;
};

// Draws the columns anew; needed when their number or the room changes.
function lay(given = parts.holder.clientWidth) {
  const room = Math.max(240, given);
  const each = Math.max(46, Math.min(160, (room - LEFT - 4) / state.names.length));
  const wide = Math.max(room, Math.ceil(LEFT + each * state.names.length + 4));
  const active = document.activeElement;
  const focused = parts.svg.contains(active) ? active?.getAttribute("data-grip") : null;
  parts.each = each;
  parts.svg.replaceChildren();
  put(parts.svg, { width: wide, height: HEIGHT, viewBox: `0 0 ${wide} ${HEIGHT}` });
  parts.grid = svg("g", { "aria-hidden": "true" });
  parts.over = svg("g", { "aria-hidden": "true" });
  parts.columns = state.names.map((_, index) => column(parts.svg, index, LEFT + each * index, each));
  parts.svg.append(parts.grid, ...parts.columns.map((one) => one.node), parts.over);
  if (!focused) return;
  /** @type {SVGElement | null} */
  const handle = parts.svg.querySelector(`[data-grip="${focused}"]`);
  handle?.focus({ preventScroll: true });
}

export function render() {
  const { focus } = play.now;
  const aimed = focus.target ? focus.target(state.token) : null;
  if (parts.columns.length !== state.names.length) lay();
  if (!drag.holding()) fit(Math.max(...state.draft, ...state.verifier, ...(aimed || [0]))); // rests while one is dragged
  parts.grid.replaceChildren(...ruling(Number(parts.svg.getAttribute("width"))));
  state.names.forEach((name, i) => {
    const one = parts.columns[i];
    KINDS.forEach((kind) => {
      const value = state[kind][i];
      put(one.bars[kind], { y: y(value), height: BASE - y(value) });
      const { node, dot, value: words, handle } = one.grips[kind];
      put(dot, { cy: y(value) });
      put(words, { y: y(value) - 10 });
      set(words, prob(value));
      put(handle, { y: Math.min(BASE - 40, y(value) - 24) });
      put(node, {
        "aria-label": `${kind} probability of ${named(name)}`,
        "aria-valuenow": +value.toFixed(4),
        "aria-valuetext": `${(100 * value).toFixed(1)} percent`,
      });
    });
    const lifts = aimed !== null && aimed[i] > state.verifier[i] + 1e-12;
    put(one.lifted, { y: y(aimed ? aimed[i] : 0), height: lifts ? y(state.verifier[i]) - y(aimed[i]) : 0 });
    put(one.tick, { y1: y(aimed ? aimed[i] : 0), y2: y(aimed ? aimed[i] : 0), visibility: aimed ? null : "hidden" });
    set(one.name, short(name, parts.each - 8));
    const stacked = parts.each < 70;
    set(one.numbers[0], stacked ? prob(state.draft[i]) : `${prob(state.draft[i])} / ${prob(state.verifier[i])}`);
    set(one.numbers[1], stacked ? prob(state.verifier[i]) : "");
    put(one.box, { visibility: i === state.token ? null : "hidden" });
    put(one.label, { "aria-label": `${named(name)}, say it was drafted`, "aria-pressed": String(i === state.token) });
  });
  remark(aimed);
  caption(aimed, focus);
  entry.fill();
}

// "target 0.20, lifted for 0.03 nats" beside the bar it speaks of, where there is room.
/** @param {Probs | null} aimed */
function remark(aimed) {
  parts.over.replaceChildren();
  if (!aimed) return;
  const n = state.token;
  const one = parts.columns[n];
  const rise = aimed[n] - state.verifier[n];
  const words = [
    `target ${prob(aimed[n])}`,
    Math.abs(rise) < 5e-4
      ? "not lifted"
      : `${rise > 0 ? "lifted" : "lowered"}: ${nats(laws.kl(aimed, state.verifier))} nats`,
  ];
  const room = Math.max(width(words[0], 12, 600), width(words[1], 11.5)) + 8;
  const wide = Number(parts.svg.getAttribute("width"));
  // Beside the verifier's bar, which it speaks of, at the height of the target; else over it, above what is there.
  const spans = state.names.flatMap((_, i) => {
    const { x, bar } = parts.columns[i];
    const top = Math.max(state.verifier[i], aimed[i]);
    /** @type {[number, number, number][]} */
    const own = i === n ? [] : [[x.verifier, x.verifier + bar, top]];
    return [/** @type {[number, number, number]} */ ([x.draft, x.draft + bar, state.draft[i]]), ...own];
  });
  /** @param {number} from */
  const under = (from) => spans.filter(([start, end]) => start < from + room && end > from).map(([, , value]) => value);
  const right = one.x.verifier + one.bar + 8;
  const free = right + room < wide && under(right).every((value) => y(value) - 12 > y(aimed[n]) + 16);
  const over = Math.max(LEFT, Math.min(one.x.verifier - 2, wide - room));
  const peak = Math.max(aimed[n], state.verifier[n], ...under(over));
  const at = free ? { x: right, y: Math.max(12, y(aimed[n]) + 2) } : { x: over, y: Math.max(11, y(peak) - 28) };
  const middle = one.x.verifier + one.bar / 2;
  const far = !free && y(aimed[n]) - at.y > 44;
  const halo = {
    x: at.x,
    fill: "var(--amber-ink)",
    stroke: "var(--ground)",
    "stroke-width": 4,
    "stroke-linejoin": "round",
    "paint-order": "stroke",
  };
  if (far)
    parts.over.append(
      svg("line", {
        x1: middle,
        x2: middle,
        y1: at.y + 21,
        y2: y(aimed[n]) - 4,
        stroke: "var(--amber)",
        "stroke-width": 1,
      }),
    );
  parts.over.append(
    svg("text", { ...halo, y: at.y, "font-size": 12, "font-weight": 600 }, words[0]),
    svg("text", { ...halo, y: at.y + 15, "font-size": 11.5 }, words[1]),
  );
}

/**
 * @param {Probs | null} aimed
 * @param {import("specviz/playground/play.js").Row} focus
 */
function caption(aimed, focus) {
  const name = el("bdi.tok", null, named(state.names[state.token]));
  parts.caption.replaceChildren(
    "Outline: draft. Solid: verifier. ",
    ...(aimed
      ? ["Amber: the target ", focus.rule, " aims at when ", name, " was drafted."]
      : [focus.rule, " has no target: it only keeps or refuses ", name, "."]),
  );
}

function swap() {
  [state.draft, state.verifier] = [state.verifier, state.draft];
  drag.release();
  play.changed("probs");
  play.changed("end");
}

const AXES = ["token", "probability"];

// The bars for a talk, at a width of their own.
/** @returns {Figure} */
function figure() {
  const { focus } = play.now;
  const target = focus.target ? focus.target(state.token) : null;
  const drawn = () => {
    lay(FIGURE);
    render();
    const copy = /** @type {SVGSVGElement} */ (parts.svg.cloneNode(true));
    lay();
    render();
    return copy;
  };
  const series = [
    { words: "draft", probs: state.draft },
    { words: "verifier", probs: state.verifier },
    ...(target ? [{ words: `target of ${focus.rule}`, probs: target }] : []),
  ];
  return {
    title: "Draft and verifier",
    subtitle: parts.caption.textContent ?? "",
    axes: AXES,
    foot: [`drafted: ${named(state.names[state.token])}`, `in focus: ${title(focus)}`, "exact"],
    draw: drawn,
    rows: [
      ["series", ...AXES],
      ...series.flatMap(({ words, probs }) => probs.map((p, i) => [words, state.names[i], p])),
    ],
  };
}

export function build() {
  parts.svg = svg("svg", {
    class: "playbars",
    role: "group",
    "aria-label": "Draft and verifier probabilities",
    onpointermove: drag.drag,
    onpointerup: drag.drop,
    onpointercancel: drag.drop,
    onlostpointercapture: drag.drop,
  });
  parts.holder = el("div.scroller", null, parts.svg);
  parts.caption = el("p.caption");
  parts.svg.addEventListener(
    "touchstart",
    (event) => {
      if (hit(event, ".hit")) event.preventDefault();
    },
    { passive: false },
  ); // no scrolling from a handle
  const add = el("button.plainbutton", { type: "button", onclick: () => entry.say(play.addToken()) }, "+ Add a token");
  const node = el(
    "section.plot.playfigure",
    { "aria-label": "Draft and verifier" },
    head("Draft and verifier", parts.caption, figure),
    parts.holder,
    el("div.undertools", null, add, el("button.plainbutton", { type: "button", onclick: swap }, "Swap the two")),
    entry.build(),
  );
  play.on((what) => {
    if (what !== "probs" && what !== "end" && what !== "focus") drag.release();
    if (what === "preset") entry.say("");
    add.disabled = state.names.length >= play.MAX_TOKENS;
  });
  let seen = 0;
  new ResizeObserver(() => {
    const now = parts.holder.clientWidth;
    if (now && now !== seen && play.now) {
      seen = now;
      lay();
      render();
    }
  }).observe(parts.holder);
  return node;
}
