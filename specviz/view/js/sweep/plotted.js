// One plot of a sweep as Plotly takes it: right answers, or divergence, against tokens kept per round; both with their intervals.
import { defaults } from "specviz/core/boot.js";
import { finite, fixed, label, nats, number, symbol } from "specviz/core/formats.js";
import { stroke } from "specviz/laws/twins.js";
import { layout, note } from "specviz/parts/plotly.js";
import { placed } from "specviz/sweep/placing.js";

export const MARGIN = { l: 44, r: 22, t: 16, b: 44 };
export const HEIGHT = 360;
/** @typedef {{ title: string, figure: "accuracy" | "mean_kl", axis: string, scale: number, words: string }} Kind */
/** @typedef {{ rule: string, knob: string | null, others: string, rows: SweepRow[], nth: number }} Group of points on a line */
/** @typedef {import("specviz/sweep/placing.js").Mark} Mark */

/** @type {Record<string, Kind>} */
export const KINDS = {
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
export const KEPT = "tokens kept per round";
export const FIGURE = { wide: 630, tall: 227 }; // px that the plot itself has in a figure

/**
 * @param {SweepRow} row
 * @param {Measure} name
 */
const valueOf = (row, name) => finite(row[name]) ?? NaN;
// The end of its interval, or the value itself where it has none.
/**
 * @param {SweepRow} row
 * @param {Measure} name
 * @param {"low" | "high"} end
 */
const endOf = (row, name, end) => finite(row[`${name}_${end}`]) ?? valueOf(row, name);
/**
 * @param {SweepRow} row
 * @returns {[string, number] | null}
 */
const mainKnob = (row) => Object.entries(row.knobs).find(([, value]) => typeof value === "number") || null;
/**
 * @param {SweepRow} row
 * @param {Measure} name
 * @param {number} scale
 * @param {number} digits
 */
const between = (row, name, scale, digits) =>
  row[`${name}_low`] === null
    ? ""
    : ` (${fixed(scale * endOf(row, name, "low"), digits)} to ${fixed(scale * endOf(row, name, "high"), digits)})`;

/** @param {SweepRow} row */
function said(row) {
  return (
    `${label(row.name, row.knobs)}<br>${fixed(100 * valueOf(row, "accuracy"), 1)} % ` +
    `right${between(row, "accuracy", 100, 1)}<br>keeps ${fixed(valueOf(row, "accepted_per_round"))} per ` +
    `round${between(row, "accepted_per_round", 1, 2)}<br>` +
    `${nats(valueOf(row, "mean_kl"))} nats${between(row, "mean_kl", 1, 4)}`
  );
}

/**
 * @param {string} hex
 * @param {number} share
 */
const faded = (hex, share) =>
  /^#[0-9a-f]{6}$/i.test(hex)
    ? `rgba(${[1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(",")},${share})`
    : hex;

/**
 * @param {SweepRow[]} rows
 * @param {string} rule
 * @param {string} knob
 */
const several = (rows, rule, knob) =>
  new Set(rows.filter((row) => row.name === rule).map((row) => String(row.knobs[knob]))).size > 1;

// How the lines of one rule are told apart: the second has dashes, and its marks are the other of hollow and filled.
/** @param {Pick<Group, "rule" | "nth">} given */
function look({ rule, nth }) {
  const own = stroke(rule);
  if (nth % 2 === 0) return own;
  const symbol = own.symbol.endsWith("-open") ? own.symbol.slice(0, -5) : `${own.symbol}-open`;
  return { ...own, symbol, plotly: own.plotly === "dash" ? "dot" : "dash" };
}

// Points of one rule that differ in its main knob alone are one line.
/**
 * @param {SweepRow[]} rows
 * @returns {Group[]}
 */
function series(rows) {
  /** @type {Map<string, Omit<Group, "nth">>} */
  const found = new Map();
  rows.forEach((row) => {
    const [knob] = mainKnob(row) || [null];
    const others = Object.entries(row.knobs).filter(([name]) => name !== knob);
    const key = JSON.stringify([row.name, others]);
    const usual = defaults(row.name);
    const words = others
      .filter(([name, value]) => String(value) !== String(usual[name]) || several(rows, row.name, name))
      .map(([, value]) => ` ${value}`)
      .join("");
    const group = found.get(key) ?? { rule: row.name, knob, others: words, rows: [] };
    group.rows.push(row);
    found.set(key, group);
  });
  const all = [...found.values()];
  return all.map((group) => ({ ...group, nth: all.filter(({ rule }) => rule === group.rule).indexOf(group) }));
}

/**
 * @param {SweepRow[]} points
 * @param {Measure} name
 * @param {number} scale
 * @param {string} color
 * @returns {Whiskers}
 */
function bars(points, name, scale, color) {
  /** @param {"low" | "high"} end */
  const length = (end) => points.map((row) => scale * Math.abs(endOf(row, name, end) - valueOf(row, name)));
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

/**
 * @param {SweepRow[]} rows
 * @param {Measure} name
 * @param {number} scale
 * @returns {[number, number]}
 */
function extent(rows, name, scale) {
  const ends = rows
    .flatMap((row) => [valueOf(row, name), endOf(row, name, "low"), endOf(row, name, "high")])
    .map((value) => scale * value);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  const pad = 0.06 * (high - low) || 0.05 * Math.max(1, Math.abs(high));
  return [low - pad, high + pad];
}

// The plot of a kind, in the room that it has; faint where all it can show is the sweep before.
/**
 * @param {SweepMessage} shown
 * @param {SweepMessage | null} ghost
 * @param {Kind} kind
 * @param {Inks} ink
 * @param {{ wide: number, tall: number }} more
 */
export function draw(shown, ghost, { figure: measure, scale }, ink, { wide, tall }) {
  const own = shown.rows.filter((row) => row.accepted_per_round !== null);
  const faint = !own.length && ghost !== null;
  const drafted = faint && ghost ? ghost.rows.filter((row) => row.accepted_per_round !== null) : own;
  const rows = drafted.filter((row) => Number.isFinite(valueOf(row, measure)));
  const plain = shown.rows.find((row) => row.name === "plain") ?? null;
  const xs = rows.length ? extent(rows, "accepted_per_round", 1) : [0, 4];
  let ys = measure === "accuracy" ? [0, 100] : [0, 0.1];
  const seen = measure === "accuracy" && plain ? [...rows, plain] : rows;
  if (seen.length) ys = extent(seen, measure, scale);
  if (measure === "accuracy") ys = [Math.max(-2, ys[0]), Math.min(102, ys[1])];
  else ys = [-0.03 * ys[1], ys[1]];
  /** @param {number} value */
  const px = (value) => ((value - xs[0]) / (xs[1] - xs[0])) * wide;
  /** @param {number} value */
  const py = (value) => tall - ((value - ys[0]) / (ys[1] - ys[0])) * tall;
  const groups = series(rows);
  const few = rows.length <= 24;
  const plotted = faint ? [] : groups;
  const data = groups.map((group) => {
    const drawn = look(group);
    const color = ink[drawn.color];
    return {
      x: group.rows.map((row) => valueOf(row, "accepted_per_round")),
      y: group.rows.map((row) => scale * valueOf(row, measure)),
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
      const setting = group.knob ? ` ${symbol(group.knob)} ${value}` : "";
      const x = valueOf(row, "accepted_per_round");
      const y = scale * valueOf(row, measure);
      return /** @type {Mark} */ ({
        ...{ at: [x, y], x: px(x), y: py(y), end },
        top: py(scale * endOf(row, measure, "high")),
        bottom: py(scale * endOf(row, measure, "low")),
        left: px(endOf(row, "accepted_per_round", "low")),
        right: px(endOf(row, "accepted_per_round", "high")),
        words: end ? `<b>${group.rule}</b>${group.others}${setting}` : value,
      });
    }),
  );
  /** @type {[Mark, Mark][]} */
  const ways = found.flatMap((line) => line.slice(1).map((mark, i) => [line[i], mark]));
  const marks = found
    .flat()
    .filter((mark) => mark.end || few)
    .sort((a, b) => Number(b.end) - Number(a.end));
  const words = placed(marks, ways, wide, tall, MARGIN.r).map((mark) =>
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
  const level = plain ? 100 * valueOf(plain, "accuracy") : NaN;
  const band =
    measure === "accuracy" && plain
      ? [
          {
            type: "rect",
            xref: "paper",
            x0: 0,
            x1: 1,
            y0: 100 * endOf(plain, "accuracy", "low"),
            y1: 100 * endOf(plain, "accuracy", "high"),
            fillcolor: ink.grid,
            line: { width: 0 },
            layer: "below",
          },
          {
            type: "line",
            xref: "paper",
            x0: 0,
            x1: 1,
            y0: level,
            y1: level,
            line: { color: ink.mute, width: 1 },
            layer: "below",
          },
        ]
      : [];
  const alone = band.length
    ? [
        note(`verifier alone, ${fixed(level, 1)} %`, 1, level, ink.ink3, {
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
