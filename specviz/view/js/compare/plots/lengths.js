// How many drafted tokens a round kept.
import { done, measured, shown } from "specviz/core/state.js";
import * as store from "specviz/core/store.js";
import { stroke } from "specviz/laws/twins.js";
import { layout, note } from "specviz/parts/plotly.js";

// Bars told apart by their filling, as their legend is: by the line of each rule, the heaviest solid, dotted ones empty,
// dashed ones hatched. The same filling goes to one lane only, as long as there are others.
function fills(rows, ink) {
  const hatched = (shape) => ({
    color: ink.sheet,
    line: { width: 1, color: ink.ink3 },
    pattern: { shape, fgcolor: ink.ink2, bgcolor: ink.sheet, size: 5, solidity: 0.35 },
  });
  const all = [
    { sign: "□", marker: { color: "rgba(0,0,0,0)", line: { width: 1.3, color: ink.ink3 } } },
    { sign: "▤", marker: hatched("-") },
    { sign: "▥", marker: hatched("|") },
    { sign: "■", marker: { color: ink.ink, line: { width: 0 } } },
  ];
  const wanted = rows.map(({ lane }) => {
    const { width, dash } = stroke(lane.rule);
    if (width > 2) return 3;
    return dash === "" ? 2 : Number(dash.split(" ")[0]) > 2 ? 1 : 0;
  });
  const free = [0, 1, 2, 3].filter((fill) => !wanted.includes(fill));
  return wanted.map((fill, i) => all[wanted.indexOf(fill) === i ? fill : (free.shift() ?? i % 4)]);
}

function lengths(ink) {
  const rows = shown().filter(({ lane }) => lane.rule !== "plain");
  if (!rows.length) return null;
  let most = 20; // percent: an empty plot has an axis all the same
  const looks = fills(rows, ink);
  const data = rows.map(({ lane }, at) => {
    const counts = store.lengths(lane, done(lane));
    const total = counts.reduce((a, b) => a + b, 0) || 1;
    const y = Array.from(
      { length: Number(lane.given.draft_length) + 1 || counts.length },
      (_, i) => (100 * (counts[i] || 0)) / total,
    );
    most = Math.max(most, ...y);
    return {
      x: y.map((_, i) => i),
      y,
      type: "bar",
      name: lane.label,
      marker: looks[at].marker,
      hovertemplate: `${lane.label}: %{y:.0f} % of rounds kept %{x}<extra></extra>`,
    };
  });
  const names = rows.map(({ lane }, i) =>
    note(`${looks[i].sign} ${lane.rule}`, 1.02, 0.96 - i * 0.085, stroke(lane.rule).width > 2 ? ink.ink : ink.ink3),
  );
  return {
    subtitle: "Share of rounds, by how many drafted tokens they kept",
    kind: measured(),
    data,
    layout: layout(ink, {
      barmode: "group",
      bargap: 0.28,
      bargroupgap: 0.12,
      xaxis: { dtick: 1, fixedrange: true },
      yaxis: { range: [0, most * 1.08], nticks: 5, ticksuffix: " %" },
      annotations: [note("kept", 1.02, -0.085, ink.ink3), ...names],
      margin: { l: 44, r: 92, t: 14, b: 30 },
    }),
  };
}

export default { title: "Kept per round", place: 5, draw: lengths };
