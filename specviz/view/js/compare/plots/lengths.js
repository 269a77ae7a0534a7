// How many drafted tokens a round kept.
import * as measures from "specviz/core/measures.js";
import { done, measured, shown } from "specviz/core/state.js";
import { layout, note } from "specviz/parts/plotly.js";
import { focusLane, room } from "specviz/compare/tools.js";

/**
 * @param {Inks} ink
 * @returns {Plotted | null}
 */
function lengths(ink) {
  const rows = shown().filter(({ lane }) => lane.rule !== "plain");
  if (!rows.length) return null;
  /** @param {string} shape */
  const hatched = (shape) => ({
    color: ink.ink2,
    line: { width: 1, color: ink.ink3 },
    pattern: { shape, size: 5, solidity: 0.35, fgcolor: ink.ink2, bgcolor: "rgba(0,0,0,0)" },
  });
  const looks = [
    { color: "rgba(0,0,0,0)", line: { width: 1.3, color: ink.ink3 } },
    hatched("-"),
    hatched("|"),
    { color: ink.ink, line: { width: 0 } },
  ];
  const front = focusLane()?.lane; // solid; the others take what is left
  const free = [0, 1, 2];
  const look = rows.map(({ lane }) => (lane === front ? 3 : (free.shift() ?? 3)));
  let most = 0;
  const data = rows.map(({ lane }, at) => {
    const counts = measures.lengths(lane, done(lane));
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
      marker: looks[look[at]],
      hovertemplate: `${lane.label}: %{y:.0f} % of rounds kept %{x}<extra></extra>`,
    };
  });
  const names = rows.map(({ lane, title }, i) =>
    note(`${["□", "▤", "▥", "■"][look[i]]} ${title}`, 1.02, 0.96 - i * 0.085, lane === front ? ink.ink : ink.ink3),
  );
  return {
    subtitle: "Share of rounds, by how many drafted tokens they kept",
    axes: ["drafted tokens kept in a round", "rounds, %"],
    kind: measured(),
    data,
    layout: layout(ink, {
      barmode: "group",
      bargap: 0.28,
      bargroupgap: 0.12,
      xaxis: { dtick: 1, fixedrange: true },
      yaxis: { range: [0, (most || 100) * 1.08], nticks: 5, ticksuffix: " %" },
      annotations: [note("kept", 1.02, -0.085, ink.ink3, { name: "axis" }), ...names],
      margin: {
        l: 44,
        r: room(
          rows.map(({ title }) => `□ ${title}`),
          92,
        ),
        t: 14,
        b: 30,
      },
    }),
  };
}

export default { title: "Kept per round", place: 5, draw: lengths };
