// What a look buys: tokens written per verifier call, or per second, against the nodes that each call looks at. Chains and trees of
// one budget stand above each other.
import * as estimates from "specviz/core/estimates.js";
import { done, measured, shown, state } from "specviz/core/state.js";
import { stroke } from "specviz/laws/twins.js";
import { layout, note, spread } from "specviz/parts/plotly.js";
import { focusLane } from "specviz/compare/tools.js";

/** @typedef {{ lane: Lane, x: number, y: number, low: number, high: number, tree: boolean }} Mark */

// A lane's mark: {x, y, low, high, tree}. A call looks at the drafted nodes and at the last token of the text.
/**
 * @param {Lane} lane
 * @param {boolean} speed
 * @returns {Mark | null}
 */
function mark(lane, speed) {
  const rounds = done(lane);
  const sum = lane.sums[rounds];
  if (!rounds || (speed && !(sum.seconds > 0))) return null;
  const count = { count: rounds, above: sum.emitted, above2: sum.emitted2 };
  const y = speed
    ? estimates.ratio({ ...count, below: sum.seconds, product: sum.paced, below2: sum.seconds2 })
    : estimates.ratio({ ...count, below: rounds, product: sum.emitted, below2: rounds });
  const tree = lane.rounds.slice(0, rounds).some(({ shape }) => shape.tree);
  return { lane, x: 1 + sum.drafted / rounds, y: y.value, low: y.low ?? y.value, high: y.high ?? y.value, tree };
}

/**
 * @param {Inks} ink
 * @param {string} mode
 * @returns {Plotted | null}
 */
function budget(ink, mode) {
  const speed = mode === "speed";
  const plain = state.run?.lanes.find((lane) => lane.rule === "plain");
  const lanes = [...new Set([...shown().map(({ lane }) => lane), ...(plain ? [plain] : [])])];
  const marks = lanes.map((lane) => mark(lane, speed)).filter((one) => one !== null);
  if (!marks.length) return null;
  const front = focusLane()?.lane;
  const wide = Math.max(4, ...marks.map(({ x }) => x)) * 1.12;
  const tall = Math.max(...marks.map(({ high }) => Math.min(high, 1e6))) * 1.12;
  /** @param {Mark} mark */
  const words = ({ lane, tree }) => `${lane.rule}${tree ? ", tree" : ""}`;
  const ends = marks.map((one) => ({ y: one.y, text: words(one), bold: one.lane === front }));
  const names = spread(ends, tall, 0.075).map((end) =>
    note(end.bold ? `<b>${end.text}</b>` : end.text, 1.02, end.at, end.bold ? ink.ink : ink.ink3),
  );
  const unit = speed ? "tokens per second" : "tokens per call";
  const most = Math.min(wide, tall);
  return {
    subtitle: speed
      ? "Tokens per second against the nodes that a call looks at; intervals 95 %"
      : "Tokens per call against the nodes it looks at; on the dotted line everything is kept",
    axes: ["nodes looked at in a call", unit],
    kind: measured(),
    data: [
      ...(speed
        ? []
        : [
            {
              x: [0, most],
              y: [0, most],
              mode: "lines",
              hoverinfo: "skip",
              line: { color: ink.line2, width: 1.2, dash: "dot" },
            },
          ]),
      ...marks.map(({ lane, x, y, low, high }) => {
        const look = stroke(lane.rule);
        const color = ink[look.color];
        return {
          x: [x],
          y: [y],
          name: lane.label,
          mode: "markers",
          cliponaxis: false,
          marker: {
            symbol: look.symbol === "none" ? "circle" : look.symbol,
            size: 9,
            color,
            line: { width: 1.4, color },
          },
          error_y: {
            type: "data",
            symmetric: false,
            array: [high - y],
            arrayminus: [y - low],
            thickness: 1,
            width: 0,
            color,
          },
          hovertemplate: `${lane.label}: %{y:.2f} ${unit}, %{x:.1f} nodes<extra></extra>`,
        };
      }),
    ],
    layout: layout(ink, {
      margin: { l: 40, r: 40 + 6.2 * Math.max(...ends.map(({ text }) => text.length)), t: 26, b: 30 },
      xaxis: { range: [0, wide], nticks: 6 },
      yaxis: { range: [0, tall], nticks: 5 },
      annotations: [
        note("nodes", 1.02, -0.085, ink.ink3, { name: "axis" }),
        note(unit, 0.01, 1.02, ink.ink3, { name: "axis", yanchor: "bottom" }),
        ...names,
      ],
    }),
  };
}

export default {
  title: "Chain or tree",
  place: 9,
  draw: budget,
  modes: [
    ["calls", "by calls"],
    ["speed", "by time"],
  ],
};
