// The two plots of a sweep: right answers, and divergence, against tokens kept per round; both with their intervals.
import { defaults } from "specviz/core/boot.js";
import { el, framed, inks, set } from "specviz/core/dom.js";
import { on } from "specviz/core/events.js";
import { finite, fixed, label, nats, number, symbol } from "specviz/core/formats.js";
import { stroke } from "specviz/laws/twins.js";
import { buttons } from "specviz/parts/figure.js";
import { CONFIG, layout, load, note } from "specviz/parts/plotly.js";

const MARGIN = { l: 44, r: 22, t: 16, b: 44 };
const HEIGHT = 360;
const KINDS = {
  accuracy: {
    title: "Right answers",
    figure: "accuracy",
    axis: "right answers, %",
    scale: 100,
    words: "Right and high is better. Bars: 95 % intervals; grey: the verifier alone, and its interval",
  },
  mean_kl: {
    title: "Divergence spent",
    figure: "mean_kl",
    axis: "KL(output law ‖ verifier) per judged token, nats",
    scale: 1,
    words: "Right and low is better. Mean KL(output law ‖ verifier) per judged token, nats; bars: 95 % intervals",
  },
};
const KEPT = "tokens kept per round";
const FIGURE = { wide: 630, tall: 227 }; // px that the plot itself has in a figure
const cards = [];
let shown = null; // the message on display
let ghost = null; // the one before it, faint until there are points
let pressed = () => {}; // hears the rule of a point
let of = () => []; // what the sweep on display is of, for figures

const valueOf = (row, name) => finite(row[name]);
const mainKnob = (row) => Object.entries(row.knobs).find(([, value]) => typeof value === "number") || null;
const between = (row, name, scale, digits) =>
  row[`${name}_low`] === null
    ? ""
    : ` (${fixed(scale * row[`${name}_low`], digits)} to ${fixed(scale * row[`${name}_high`], digits)})`;

function said(row) {
  return (
    `${label(row.name, row.knobs)}<br>${fixed(100 * row.accuracy, 1)} % ` +
    `right${between(row, "accuracy", 100, 1)}<br>keeps ${fixed(row.accepted_per_round)} per ` +
    `round${between(row, "accepted_per_round", 1, 2)}<br>` +
    `${nats(valueOf(row, "mean_kl"))} nats${between(row, "mean_kl", 1, 4)}`
  );
}

const faded = (hex, share) =>
  /^#[0-9a-f]{6}$/i.test(hex)
    ? `rgba(${[1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(",")},${share})`
    : hex;

const several = (rows, rule, knob) =>
  new Set(rows.filter((row) => row.name === rule).map((row) => String(row.knobs[knob]))).size > 1;

// How the lines of one rule are told apart: the second has dashes, and its marks are the other of hollow and filled.
function look({ rule, nth }) {
  const own = stroke(rule);
  if (nth % 2 === 0) return own;
  const symbol = own.symbol.endsWith("-open") ? own.symbol.slice(0, -5) : `${own.symbol}-open`;
  return { ...own, symbol, plotly: own.plotly === "dash" ? "dot" : "dash" };
}

// Points of one rule that differ in its main knob alone are one line.
function series(rows) {
  const found = new Map();
  rows.forEach((row) => {
    const [knob] = mainKnob(row) || [null];
    const others = Object.entries(row.knobs).filter(([name]) => name !== knob);
    const key = JSON.stringify([row.name, others]);
    const usual = defaults(row.name);
    if (!found.has(key))
      found.set(key, {
        rule: row.name,
        knob,
        others: others
          .filter(([name, value]) => String(value) !== String(usual[name]) || several(rows, row.name, name))
          .map(([, value]) => ` ${value}`)
          .join(""),
        rows: [],
      });
    found.get(key).rows.push(row);
  });
  const all = [...found.values()];
  return all.map((one) => ({ ...one, nth: all.filter(({ rule }) => rule === one.rule).indexOf(one) }));
}

function bars(points, name, scale, color) {
  const length = (end) =>
    points.map((row) => (row[`${name}_low`] === null ? 0 : scale * Math.abs(row[`${name}_${end}`] - row[name])));
  return {
    type: "data",
    symmetric: false,
    array: length("high"),
    arrayminus: length("low"),
    color,
    thickness: 1,
    width: 0,
  };
}

function extent(rows, name, scale) {
  const ends = rows
    .flatMap((row) => [row[name], row[`${name}_low`] ?? row[name], row[`${name}_high`] ?? row[name]])
    .map((value) => scale * value);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const pad = 0.06 * (high - low) || 0.05 * Math.max(1, Math.abs(high));
  return [low - pad, high + pad];
}

// A place for the words of each mark, where they cover as little as can be of marks, bars and lines. Those that find
// none clear of other words are left out: the table has them all.
function placed(marks, ways, wide, tall) {
  const boxes = [];
  const steps = ways.flatMap(([from, to]) =>
    Array.from({ length: 15 }, (_, i) => [from.x + ((to.x - from.x) * i) / 14, from.y + ((to.y - from.y) * i) / 14]),
  );
  const hits = (one, other) => one.x0 < other.x1 && other.x0 < one.x1 && one.y0 < other.y1 && other.y0 < one.y1;
  return marks.flatMap((mark) => {
    const size = 6.4 * mark.words.replace(/<[^>]*>/g, "").length + 4;
    const spots = [
      [1, -9],
      [1, 9],
      [-1, 9],
      [-1, -9],
      [1, -20],
      [-1, 20],
      [1, 20],
      [-1, -20],
      [1, -33],
      [-1, 33],
    ].map(([side, dy], order) => {
      const x0 = side > 0 ? mark.x + 8 : mark.x - 8 - size;
      const box = { x0, x1: x0 + size, y0: mark.y + dy - 8, y1: mark.y + dy + 8, side, dy };
      box.cost =
        order +
        (box.x0 < 0 || box.x1 > wide + MARGIN.r || box.y0 < 0 || box.y1 > tall ? 200 : 0) +
        60 * boxes.filter((other) => hits(box, other)).length +
        40 *
          marks.filter((other) => hits(box, { x0: other.x - 6, x1: other.x + 6, y0: other.y - 6, y1: other.y + 6 }))
            .length +
        4 * steps.filter(([x, y]) => x > box.x0 && x < box.x1 && y > box.y0 && y < box.y1).length +
        24 *
          marks.filter((other) => hits(box, { x0: other.x - 1, x1: other.x + 1, y0: other.top, y1: other.bottom }))
            .length +
        10 *
          marks.filter((other) => hits(box, { x0: other.left, x1: other.right, y0: other.y - 1, y1: other.y + 1 }))
            .length;
      return box;
    });
    const best = spots.reduce((one, other) => (other.cost < one.cost ? other : one));
    if (boxes.some((other) => hits(best, other))) return [];
    boxes.push(best);
    return [{ ...mark, side: best.side, dy: best.dy }];
  });
}

// The plot of a kind, in the room that it has; faint where all it can show is the sweep before.
function draw({ figure: measure, scale }, ink, { wide, tall }) {
  const own = shown.rows.filter((row) => row.accepted_per_round !== null);
  const faint = !own.length && ghost !== null;
  const drafted = faint ? ghost.rows.filter((row) => row.accepted_per_round !== null) : own;
  const rows = drafted.filter((row) => Number.isFinite(valueOf(row, measure)));
  const plain = shown.rows.find((row) => row.name === "plain") ?? null;
  const xs = rows.length ? extent(rows, "accepted_per_round", 1) : [0, 4];
  let ys = measure === "accuracy" ? [0, 100] : [0, 0.1];
  const seen = measure === "accuracy" && plain ? [...rows, plain] : rows;
  if (seen.length) ys = extent(seen, measure, scale);
  if (measure === "accuracy") ys = [Math.max(-2, ys[0]), Math.min(102, ys[1])];
  else ys = [-0.03 * ys[1], ys[1]];
  const px = (value) => ((value - xs[0]) / (xs[1] - xs[0])) * wide;
  const py = (value) => tall - ((value - ys[0]) / (ys[1] - ys[0])) * tall;
  const groups = series(rows);
  const few = rows.length <= 24;
  const plotted = faint ? [] : groups;
  const data = groups.map((group) => {
    const drawn = look(group);
    const color = ink[drawn.color];
    return {
      x: group.rows.map((row) => row.accepted_per_round),
      y: group.rows.map((row) => scale * row[measure]),
      text: group.rows.map(said),
      customdata: group.rows.map((row) => row.rule),
      hovertemplate: "%{text}<extra></extra>",
      name: `${group.rule}${group.others}`,
      opacity: faint ? 0.22 : 1,
      hoverinfo: faint ? "skip" : null,
      mode: group.rows.length > 1 ? "lines+markers" : "markers",
      line: { color, width: drawn.width, dash: drawn.plotly },
      error_y: bars(group.rows, measure, scale, faded(color, 0.45)),
      error_x: bars(group.rows, "accepted_per_round", 1, faded(color, 0.22)),
      marker: {
        symbol: drawn.symbol,
        size: 9,
        color,
        opacity: 1,
        line: { width: drawn.symbol.endsWith("-open") ? 1.6 : 0, color },
      },
    };
  });
  const found = plotted.map((group) =>
    group.rows.map((row, i) => {
      const end = i === group.rows.length - 1;
      const value = group.knob ? number(row.knobs[group.knob]) : "";
      const sign = symbol(group.knob);
      const x = row.accepted_per_round;
      return {
        at: [x, scale * row[measure]],
        x: px(x),
        y: py(scale * row[measure]),
        end,
        top: py(scale * (row[`${measure}_high`] ?? row[measure])),
        bottom: py(scale * (row[`${measure}_low`] ?? row[measure])),
        left: px(row.accepted_per_round_low ?? x),
        right: px(row.accepted_per_round_high ?? x),
        words: end ? `<b>${group.rule}</b>${group.others}${group.knob ? ` ${sign} ${value}` : ""}` : value,
      };
    }),
  );
  const ways = found.flatMap((line) => line.slice(1).map((mark, i) => [line[i], mark]));
  const marks = found
    .flat()
    .filter((mark) => mark.end || few)
    .sort((a, b) => b.end - a.end);
  const words = placed(marks, ways, wide, tall).map((mark) =>
    note(mark.words, ...mark.at, mark.end ? ink.ink : ink.ink2, {
      xref: "x",
      yref: "y",
      x: mark.at[0],
      xshift: 8 * mark.side,
      yshift: -mark.dy,
      xanchor: mark.side > 0 ? "left" : "right",
      font: { size: mark.end ? 12 : 11, color: mark.end ? ink.ink : ink.ink2 },
    }),
  );
  const band =
    measure === "accuracy" && plain
      ? [
          {
            type: "rect",
            xref: "paper",
            x0: 0,
            x1: 1,
            y0: 100 * plain.accuracy_low,
            y1: 100 * plain.accuracy_high,
            fillcolor: ink.grid,
            line: { width: 0 },
            layer: "below",
          },
          {
            type: "line",
            xref: "paper",
            x0: 0,
            x1: 1,
            y0: 100 * plain.accuracy,
            y1: 100 * plain.accuracy,
            line: { color: ink.mute, width: 1 },
            layer: "below",
          },
        ]
      : [];
  const alone = band.length
    ? [
        note(`verifier alone, ${fixed(100 * plain.accuracy, 1)} %`, 1, 100 * plain.accuracy, ink.ink3, {
          yref: "y",
          xshift: -6,
          xanchor: "right",
          yanchor: "bottom",
        }),
      ]
    : [];
  return {
    away: drafted.length - rows.length,
    faint,
    data,
    layout: layout(ink, {
      height: HEIGHT,
      margin: { ...MARGIN },
      uirevision: `${measure} ${shown.rows.length}`,
      shapes: band,
      xaxis: { range: xs, nticks: 6 },
      yaxis: { range: ys, nticks: 6, ticksuffix: measure === "accuracy" ? " %" : "" },
      annotations: [note(KEPT, 1, 0, ink.ink3, { name: "axis", xanchor: "right", yshift: -32 }), ...alone, ...words],
    }),
  };
}

function refresh() {
  if (!shown || !window.Plotly) return;
  cards.forEach((made) => {
    if (!made.graph.clientWidth) return;
    const room = {
      wide: Math.max(120, made.graph.clientWidth - MARGIN.l - MARGIN.r),
      tall: HEIGHT - MARGIN.t - MARGIN.b,
    };
    const drawn = draw(made.kind, inks(), room);
    const away = drawn.away ? ` Not drawn: ${drawn.away} of infinite divergence.` : "";
    const before = "Faint: the sweep before, until the first points are there.";
    set(made.caption, drawn.faint ? before : `${made.kind.words}.${away}`);
    window.Plotly.react(made.graph, drawn.data, drawn.layout, CONFIG);
    if (made.wired) return;
    made.wired = true;
    made.graph.on("plotly_click", ({ points }) => pressed(points[0]?.customdata, made.graph));
  });
}

// Puts a message on display, once Plotly is there. `before`: the one that stays, faint, until it has points.
export function show(message, before = null) {
  shown = message;
  ghost = before;
  if (window.Plotly) return refresh();
  load().then(refresh, () => cards.forEach((made) => set(made.caption, "The plots could not be loaded.")));
}

// What is said of a setting, in both plots at once; of none with null.
export function point(rule) {
  cards.forEach(({ graph }) => {
    const found = (graph.data || [])
      .flatMap((line, curveNumber) => line.customdata.map((one, pointNumber) => ({ one, curveNumber, pointNumber })))
      .find(({ one }) => one === rule);
    if (found) window.Plotly.Fx.hover(graph, [{ curveNumber: found.curveNumber, pointNumber: found.pointNumber }]);
    else if (graph.data) window.Plotly.Fx.unhover(graph);
  });
}

// `press` is called with the rule of a point that was pressed; `described` says what is on display, for figures.
export function build(press, described) {
  pressed = press;
  of = described;
  Object.values(KINDS).forEach((kind) => {
    const title = `${kind.title} against tokens kept`;
    const made = {
      kind,
      graph: el("div.canvas", { role: "img", "aria-label": title }),
      caption: el("p.caption", null, `${kind.words}.`),
    };
    const figure = () => {
      if (!shown) return null;
      return { title, subtitle: `${kind.words}.`, axes: [KEPT, kind.axis], foot: of(), ...draw(kind, inks(), FIGURE) };
    };
    made.node = el(
      "section.plot",
      { "aria-label": title },
      el("div.rowspread", null, el("h3", null, title), el("div.tools", null, buttons(title, figure))),
      made.caption,
      made.graph,
    );
    cards.push(made);
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
