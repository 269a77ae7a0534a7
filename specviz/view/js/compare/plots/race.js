// Tokens written against verifier calls, or against the lane's own clock.
import { done, measured, onDisplay, shown } from "specviz/core/state.js";
import { stroke } from "specviz/laws/twins.js";
import { layout, note, spread } from "specviz/parts/plotly.js";
import { focusLane, room } from "specviz/compare/tools.js";

/**
 * @param {Inks} ink
 * @param {string} mode
 * @returns {Plotted | null}
 */
function race(ink, mode) {
  /** @type {{ lane: Lane, title: string, nth: number }[]} */
  const rows = shown();
  if (!rows.length) return null;
  const { lanes, span } = onDisplay();
  const plainLane = lanes.find((lane) => lane.rule === "plain");
  if (plainLane && !rows.some(({ lane }) => lane === plainLane)) rows.push({ lane: plainLane, title: "plain", nth: 0 });
  const byTime = mode === "time";
  const front = focusLane()?.lane;
  const milli = span < 1;
  const unit = byTime ? (milli ? 1000 : 1) : 1;
  /** @type {End[]} */
  const ends = [];
  const most = Math.max(1, ...rows.map(({ lane }) => lane.sums[lane.sums.length - 1].emitted));
  const drafting = rows.filter(({ lane }) => lane.rule !== "plain");
  const widest = byTime
    ? span * unit
    : Math.max(1, ...(drafting.length ? drafting : rows).map(({ lane }) => lane.rounds.length)) * 1.08;
  /** @type {Series[]} */
  const marks = [];
  const lines = rows.map(({ lane, title, nth }) => {
    const over = done(lane);
    const sums = lane.sums.slice(0, over + 1).filter((sum, i) => byTime || i <= widest);
    const look = stroke(lane.rule, nth);
    const plain = lane.rule === "plain";
    const x = sums.map((sum) => (byTime ? sum.seconds * unit : sum.rounds));
    const y = sums.map((sum) => sum.emitted);
    const ended = lane.finished && lane.finished !== "length" && over === lane.rounds.length;
    ends.push({
      y: y[y.length - 1],
      text: `${title} ${lane.sums[over].emitted}${ended ? ", done" : ""}`,
      bold: lane === front,
    });
    const at = {
      x: x.slice(-1),
      y: y.slice(-1),
      mode: "markers",
      hoverinfo: "skip",
      marker: { symbol: look.symbol, size: 8, color: ink[look.color], line: { width: 1.3, color: ink[look.color] } },
    };
    if (!plain) marks.push(at);
    return {
      x,
      y,
      name: lane.label,
      mode: "lines",
      line: { color: ink[plain ? "mute" : look.color], width: look.width, dash: look.plotly },
      hovertemplate: `${lane.label}: %{y} tokens<extra></extra>`,
    };
  });
  // As long as it gets: nothing moves while it streams.
  const longest = rows.map(({ title }) => `${title} 999, done`);
  const names = spread(ends, most * 1.06, 0.075).map((end) =>
    note(end.bold ? `<b>${end.text}</b>` : end.text, 1.02, end.at, end.bold ? ink.ink : ink.ink3),
  );
  return {
    axes: [byTime ? `compute time, ${milli ? "ms" : "s"}` : "verifier calls", "tokens written"],
    subtitle: byTime ? "Tokens written against the lane's own compute time" : "Tokens written against verifier calls",
    kind: measured(),
    data: [...lines, ...marks],
    layout: layout(ink, {
      margin: { l: 40, r: room(longest, 104), t: 26, b: 30 },
      xaxis: { range: [0, widest], nticks: 6 },
      yaxis: { range: [0, most * 1.06], nticks: 5 },
      annotations: [
        note(byTime ? (milli ? "ms" : "seconds") : "calls", 1.02, -0.085, ink.ink3, { name: "axis" }),
        note("tokens", 0.01, 1.02, ink.ink3, { name: "axis", yanchor: "bottom" }),
        ...names,
      ],
    }),
  };
}

export default {
  title: "The race",
  place: 3,
  draw: race,
  modes: [
    ["calls", "by calls"],
    ["time", "by time"],
  ],
};
