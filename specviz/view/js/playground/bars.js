// The two distributions as bars that can be dragged, and the table of names and numbers under them.
import { el, set } from "specviz/core/dom.js";
import { named, nats, prob } from "specviz/core/formats.js";
import * as laws from "specviz/laws/laws.js";
import { head } from "specviz/parts/figure.js";
import { heads, unseen } from "specviz/parts/heads.js";
import { put, svg, width } from "specviz/parts/svg.js";
import { knobWords } from "specviz/playground/chart.js";
import * as play from "specviz/playground/play.js";
import { state } from "specviz/playground/play.js";

const FIGURE = 760; // px wide, in a figure
const KINDS = ["draft", "verifier"];
const HEIGHT = 372;
const TOP = 26;
const BASE = HEIGHT - 58;
const LEFT = 40;
const parts = { columns: [], rows: [] };
let ceiling = 1; // the probability at the top of the axis; rests while a bar is dragged
let grip = null; // the bar being moved, and the distribution it started from: the others rescale from there
let held = null; // pointer

const short = (name, room) => {
  const shown = named(name);
  const fits = Math.max(3, Math.floor(room / 7.3));
  return [...shown].length > fits ? `${[...shown].slice(0, fits - 1).join("")}…` : shown;
};
const y = (value) => BASE - (BASE - TOP) * Math.min(1.04, value / ceiling);

function move(kind, index, value) {
  if (!grip || grip.kind !== kind || grip.index !== index) grip = { kind, index, from: [...state[kind]] };
  state[kind] = play.moved(state[kind], index, value, grip.from);
  play.changed("probs");
}

function keys(event, kind, index) {
  const fine = event.shiftKey ? 0.001 : 0.01;
  const steps = {
    ArrowUp: fine,
    ArrowRight: fine,
    ArrowDown: -fine,
    ArrowLeft: -fine,
    PageUp: 0.1,
    PageDown: -0.1,
    Home: -2,
    End: 2,
  };
  if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  const now = state[kind][index];
  move(
    kind,
    index,
    Math.min(
      1,
      Math.max(
        0,
        Math.abs(steps[event.key]) > 1 ? now + steps[event.key] : Math.round((now + steps[event.key]) / fine) * fine,
      ),
    ),
  );
}

function take(event, kind, index) {
  if (event.button) return;
  event.preventDefault();
  grip = { kind, index, from: [...state[kind]] };
  held = {
    pointer: event.pointerId,
    offset: event.clientY - (parts.svg.getBoundingClientRect().top + y(state[kind][index])),
    far: false,
  };
  if (Math.abs(held.offset) > 24) held.offset = 0;
  state.moving = true;
  parts.svg.setPointerCapture(event.pointerId);
  parts.columns[index].grips[kind].focus({ preventScroll: true });
  if (state.token !== index) {
    state.token = index;
    play.changed("focus");
  }
  drag(event);
}

function drag(event) {
  if (!held || event.pointerId !== held.pointer) return;
  const at = event.clientY - held.offset - parts.svg.getBoundingClientRect().top;
  const value = ((BASE - at) / (BASE - TOP)) * ceiling;
  const step = ceiling <= 0.2 ? 0.002 : 0.005;
  move(grip.kind, grip.index, Math.min(1, Math.max(0, Math.round(value / step) * step)));
}

function drop(event) {
  if (!held || event.pointerId !== held.pointer) return;
  held = null;
  state.moving = false;
  play.changed("end");
}

function choose(index) {
  state.token = index;
  play.changed("focus");
}

// Draws the columns anew; needed when their number or the room changes.
function lay(given = parts.holder.clientWidth) {
  const room = Math.max(240, given);
  const each = Math.max(46, Math.min(160, (room - LEFT - 4) / state.names.length));
  const wide = Math.max(room, Math.ceil(LEFT + each * state.names.length + 4));
  const focused = parts.svg?.contains(document.activeElement) ? document.activeElement.getAttribute("data-grip") : null;
  parts.each = each;
  parts.svg.replaceChildren();
  put(parts.svg, { width: wide, height: HEIGHT, viewBox: `0 0 ${wide} ${HEIGHT}` });
  parts.grid = svg("g", { "aria-hidden": "true" });
  parts.over = svg("g", { "aria-hidden": "true" });
  parts.columns = state.names.map((_, index) => column(index, LEFT + each * index, each));
  parts.svg.append(parts.grid, ...parts.columns.map((one) => one.node), parts.over);
  if (focused) parts.svg.querySelector(`[data-grip="${focused}"]`)?.focus({ preventScroll: true });
}

function column(index, left, each) {
  const bar = Math.min(36, each * 0.3, (each - 14) / 2);
  const gap = Math.min(5, each / 14);
  const centre = left + each / 2;
  const one = {
    centre,
    bar,
    x: { draft: centre - gap / 2 - bar, verifier: centre + gap / 2 },
    grips: {},
    bars: {},
    dots: {},
    values: {},
  };
  one.bars.draft = svg("rect", {
    x: one.x.draft + 0.75,
    width: bar - 1.5,
    fill: "var(--sheet)",
    stroke: "var(--ink2)",
    "stroke-width": 1.5,
  });
  one.bars.verifier = svg("rect", { x: one.x.verifier, width: bar, fill: "var(--ink2)" });
  one.lifted = svg("rect", { x: one.x.verifier, width: bar, fill: "var(--amber-bg)" });
  one.tick = svg("line", {
    x1: one.x.verifier - 3,
    x2: one.x.verifier + bar + 3,
    stroke: "var(--amber)",
    "stroke-width": 2.5,
  });
  one.name = svg("text", {
    x: centre,
    y: BASE + 19,
    "text-anchor": "middle",
    "font-size": 12,
    "font-family": "var(--mono)",
    fill: "var(--ink)",
    style: "unicode-bidi: isolate",
  });
  one.numbers = [
    svg("text", { x: centre, y: BASE + 34, "text-anchor": "middle", "font-size": 11, fill: "var(--ink3)" }),
    svg("text", { x: centre, y: BASE + 47, "text-anchor": "middle", "font-size": 11, fill: "var(--ink3)" }),
  ];
  one.box = svg("rect", {
    x: left + 2,
    y: BASE + 5,
    width: each - 4,
    height: each < 70 ? 48 : 36,
    rx: 5,
    fill: "none",
    stroke: "var(--ink)",
    "stroke-width": 1.5,
  });
  one.label = svg(
    "g",
    {
      role: "button",
      tabindex: 0,
      class: "pick",
      onclick: () => choose(index),
      onkeydown: (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          choose(index);
        }
      },
    },
    svg("rect", { "data-live": true, x: left, y: BASE + 2, width: each, height: 54, fill: "transparent" }),
    one.box,
    one.name,
    one.numbers,
  );
  const grips = KINDS.map((kind) => {
    one.dots[kind] = svg("circle", {
      "data-live": true,
      cx: one.x[kind] + bar / 2,
      r: 4.5,
      fill: "var(--sheet)",
      stroke: "var(--ink)",
      "stroke-width": 1.6,
      class: "dot",
    });
    one.values[kind] = svg("text", {
      "data-live": true,
      x: one.x[kind] + bar / 2,
      "text-anchor": "middle",
      "font-size": 11.5,
      "font-weight": 600,
      fill: "var(--ink)",
      class: "value",
    });
    one.grips[kind] = svg(
      "g",
      {
        role: "slider",
        tabindex: 0,
        class: "grip",
        "data-grip": `${kind} ${index}`,
        "aria-valuemin": 0,
        "aria-valuemax": 1,
        "aria-orientation": "vertical",
        onkeydown: (event) => keys(event, kind, index),
        onblur: () => {
          if (!held) grip = null;
        },
      },
      svg("rect", {
        "data-live": true,
        class: "track",
        x: one.x[kind] - gap / 2,
        y: TOP - 14,
        width: bar + gap,
        height: BASE - TOP + 16,
        fill: "transparent",
        onpointerdown: (event) => {
          if (event.pointerType === "mouse") take(event, kind, index);
          else choose(index);
        },
      }),
      svg("rect", {
        "data-live": true,
        class: "hit",
        x: one.x[kind] - gap / 2 - 3,
        width: bar + gap + 6,
        height: 48,
        fill: "transparent",
        onpointerdown: (event) => take(event, kind, index),
      }),
      one.dots[kind],
      one.values[kind],
    );
    return one.grips[kind];
  });
  one.node = svg("g", null, one.lifted, one.bars.draft, one.bars.verifier, one.tick, one.label, grips);
  return one;
}

function ruling() {
  const step = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25].find((size) => ceiling / size <= 6) || 0.25;
  const wide = Number(parts.svg.getAttribute("width"));
  const ticks = Array.from({ length: Math.floor(ceiling / step + 1e-9) + 1 }, (_, i) => i * step);
  parts.grid.replaceChildren(
    ...ticks.map((tick) =>
      svg(
        "g",
        null,
        svg("line", { x1: LEFT, x2: wide, y1: y(tick), y2: y(tick), stroke: `var(--${tick ? "grid" : "line2"})` }),
        svg(
          "text",
          { x: LEFT - 10, y: y(tick) + 4, "text-anchor": "end", "font-size": 11, fill: "var(--ink3)" },
          String(+tick.toFixed(3)),
        ),
      ),
    ),
  );
}

export function render() {
  const { focus } = play.now;
  const aimed = focus.target ? focus.target(state.token) : null;
  if (parts.columns.length !== state.names.length) lay();
  if (!held) {
    const most = Math.max(...state.draft, ...state.verifier, ...(aimed || [0]));
    ceiling = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1].find((top) => top >= most * 1.02) || 1;
  }
  ruling();
  state.names.forEach((name, i) => {
    const one = parts.columns[i];
    KINDS.forEach((kind) => {
      const value = state[kind][i];
      put(one.bars[kind], { y: y(value), height: BASE - y(value) });
      put(one.dots[kind], { cy: y(value) });
      put(one.values[kind], { y: y(value) - 10 });
      set(one.values[kind], prob(value));
      put(one.grips[kind].querySelector(".hit"), { y: Math.min(BASE - 40, y(value) - 24) });
      put(one.grips[kind], {
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
  if (parts.table.open) fill();
}

// "target 0.20, lifted for 0.03 nats" beside the bar it speaks of, where there is room.
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
    return [[x.draft, x.draft + bar, state.draft[i]], ...(i === n ? [] : [[x.verifier, x.verifier + bar, top]])];
  });
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

function caption(aimed, focus) {
  const name = el("bdi.tok", null, named(state.names[state.token]));
  parts.caption.replaceChildren(
    "Outline: draft. Solid: verifier. ",
    ...(aimed
      ? ["Amber: the target ", focus.rule, " aims at when ", name, " was drafted."]
      : [focus.rule, " has no target: it only keeps or refuses ", name, "."]),
  );
}

// Names and numbers, to type in.
function fill() {
  if (parts.rows.length !== state.names.length) {
    parts.rows = state.names.map((_, i) => {
      const name = el("input.name", {
        type: "text",
        dir: "auto",
        "aria-label": `Name of token ${i + 1}`,
        autocomplete: "off",
        spellcheck: "false",
        onchange: () => say(play.rename(i, name.value)),
      });
      const numbers = KINDS.map((kind) => {
        const input = el("input", {
          type: "text",
          inputmode: "decimal",
          "aria-label": `${kind} probability of token ${i + 1}`,
          autocomplete: "off",
          onchange: () => type(kind, i, input),
        });
        return input;
      });
      const cut = el(
        "button.iconbutton",
        { type: "button", "aria-label": `Remove token ${i + 1}`, onclick: () => say(play.removeToken(i)) },
        "×",
      );
      return {
        name,
        numbers,
        cut,
        node: el(
          "tr",
          null,
          el("td", null, name),
          numbers.map((input) => el("td", null, input)),
          el("td", null, cut),
        ),
      };
    });
    parts.body.replaceChildren(...parts.rows.map((one) => one.node));
  }
  parts.rows.forEach((one, i) => {
    const show = (input, text) => {
      if (document.activeElement !== input && input.value !== text) input.value = text;
    };
    show(one.name, state.names[i]);
    KINDS.forEach((kind, k) => show(one.numbers[k], String(+state[kind][i].toPrecision(4))));
    one.cut.disabled = state.names.length <= 2;
  });
}

function type(kind, index, input) {
  const text = input.value.trim().replace(",", ".");
  const value = /^[\d.]+\s*%$/.test(text) ? Number.parseFloat(text) / 100 : text === "" ? NaN : Number(text);
  if (!(value >= 0 && value <= 1)) {
    input.setAttribute("aria-invalid", "true");
    return say(
      "A probability is a number from 0 to 1; " +
        `${text ? "this one is not, so nothing was changed" : "nothing was typed"}.`,
    );
  }
  input.removeAttribute("aria-invalid");
  say("");
  grip = null;
  move(kind, index, value);
  grip = null;
  input.value = String(+state[kind][index].toPrecision(4));
  return play.changed("end");
}

const say = (sentence) => set(parts.error, sentence);

function swap() {
  [state.draft, state.verifier] = [state.verifier, state.draft];
  grip = null;
  play.changed("probs");
  play.changed("end");
}

const AXES = ["token", "probability"];

// The bars for a talk, at a width of their own.
function figure() {
  const { focus } = play.now;
  const target = focus.target ? focus.target(state.token) : null;
  const drawn = () => {
    lay(FIGURE);
    render();
    const copy = parts.svg.cloneNode(true);
    lay();
    render();
    return copy;
  };
  const series = [
    ["draft", state.draft],
    ["verifier", state.verifier],
    ...(target ? [[`target of ${focus.rule}`, target]] : []),
  ];
  return {
    title: "Draft and verifier",
    subtitle: parts.caption.textContent,
    axes: AXES,
    foot: [
      `drafted: ${named(state.names[state.token])}`,
      `in focus: ${[focus.rule, knobWords(focus)].filter(Boolean).join(" ")}`,
      "exact",
    ],
    draw: drawn,
    rows: [["series", ...AXES], ...series.flatMap(([words, probs]) => probs.map((p, i) => [words, state.names[i], p]))],
  };
}

export function build() {
  parts.svg = svg("svg", {
    class: "playbars",
    role: "group",
    "aria-label": "Draft and verifier probabilities",
    onpointermove: drag,
    onpointerup: drop,
    onpointercancel: drop,
    onlostpointercapture: drop,
  });
  parts.holder = el("div.scroller", null, parts.svg);
  parts.caption = el("p.caption");
  parts.error = el("p.error", { role: "alert" });
  parts.body = el("tbody");
  parts.table = el(
    "details.names",
    {
      ontoggle: () => {
        if (parts.table.open) fill();
      },
    },
    el("summary", null, "Names and numbers"),
    el("table.entry", null, heads("token", "draft", "verifier", unseen("remove")), parts.body),
    el("p.caption", null, "Type one number and the others of its distribution rescale, so that it sums to 1."),
  );
  parts.svg.addEventListener(
    "touchstart",
    (event) => {
      if (event.target.classList.contains("hit")) event.preventDefault();
    },
    { passive: false },
  ); // no scrolling from a handle
  const add = el("button.plainbutton", { type: "button", onclick: () => say(play.addToken()) }, "+ Add a token");
  const node = el(
    "section.plot.playfigure",
    { "aria-label": "Draft and verifier" },
    head("Draft and verifier", parts.caption, figure),
    parts.holder,
    el("div.undertools", null, add, el("button.plainbutton", { type: "button", onclick: swap }, "Swap the two")),
    parts.error,
    parts.table,
  );
  play.on((what) => {
    if (!held && what !== "probs" && what !== "end" && what !== "focus") grip = null;
    if (what === "preset") say("");
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
