// How many drafted tokens a round kept.
import { done, measured, shown } from "specviz/core/state.js";
import * as store from "specviz/core/store.js";
import { layout, note } from "specviz/parts/plotly.js";

function lengths(ink) {
  const rows = shown().filter(({ lane }) => lane.rule !== "plain");
  if (!rows.length) return null;
  const looks = [
    { color: "rgba(0,0,0,0)", line: { width: 1.3, color: ink.ink3 } },
    { color: ink.mute, line: { width: 0 } },
    { color: ink.ink2, line: { width: 0 } },
    { color: ink.ink, line: { width: 0 } },
  ];
  const own = { sps: 0, tas: 1, cactus: 3 }; // the others take what is left
  const taken = rows.map(({ lane }) => own[lane.rule]);
  const free = [0, 1, 2, 3].filter((look) => !taken.includes(look));
  const look = taken.map((one, i) => (one !== undefined && taken.indexOf(one) === i ? one : (free.shift() ?? i % 4)));
  let most = 1;
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
      marker: looks[look[at]],
      hovertemplate: `${lane.label}: %{y:.0f} % of rounds kept %{x}<extra></extra>`,
    };
  });
  const names = rows.map(({ lane }, i) =>
    note(
      `${["□", "▤", "▥", "■"][look[i]]} ${lane.rule}`,
      1.02,
      0.96 - i * 0.085,
      lane.rule === "cactus" ? ink.ink : ink.ink3,
    ),
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
