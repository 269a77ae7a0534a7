// How often drafted tokens were kept, by who proposed them and by the length of the run that was looked up.
import { percent } from "specviz/core/formats.js";
import * as provenance from "specviz/core/provenance.js";
import { done, measured, shown } from "specviz/core/state.js";
import { stroke } from "specviz/laws/twins.js";
import { layout, note, spread } from "specviz/parts/plotly.js";
import { focusLane, likely, room, whiskers } from "specviz/compare/tools.js";

/** @typedef {{ drafted: number, judged: number, kept: number }} Counts */
/** @typedef {ReturnType<typeof shown>[number]} Row */

/**
 * @param {Counts[]} counts
 * @param {string} color
 */
const bars = (counts, color) =>
  whiskers(
    counts.map(({ kept, judged }) => [kept, judged]),
    color,
  );

/** @param {Counts} counts */
const said = ({ kept, judged, drafted }) => {
  return `${percent(kept / judged, 0)} % of ${judged} judged, ${drafted} drafted<br>${likely(kept, judged)}`;
};

// A bar for each voice of each lane; a lane that has but one is a bar by itself.
/** @param {Row[]} rows */
function byDrafter(rows) {
  return rows.flatMap(({ lane, title }) => {
    const rounds = done(lane);
    const all = provenance.voices(lane, rounds);
    const { drafted, judged, kept } = lane.sums[Math.min(rounds, lane.sums.length - 1)];
    const whole = { name: lane.drafter?.name ?? "", drafted, judged, kept };
    const own = title === whole.name ? title : `${title}<br>${whole.name}`;
    return all.length
      ? all.map((voice) => ({ ...voice, lane, label: `${title}<br>${voice.name}` }))
      : [{ ...whole, lane, label: own }];
  });
}

/**
 * @param {Inks} ink
 * @param {Row[]} rows
 * @returns {Plotted}
 */
function drawDrafters(ink, rows) {
  const found = byDrafter(rows).filter(({ judged }) => judged > 0);
  const axes = ["drafter", "judged tokens kept, %"];
  return {
    subtitle: "Of the judged tokens, the share kept, by who proposed them; bars: 95 %",
    axes,
    kind: measured(),
    data: [
      {
        x: found.map((_, i) => i),
        y: found.map(({ kept, judged }) => (100 * kept) / judged),
        type: "bar",
        name: "kept",
        marker: { color: ink.mute },
        error_y: bars(found, ink.ink2),
        text: found.map(said),
        textposition: "none",
        hovertemplate: "%{text}<extra></extra>",
      },
    ],
    rows: [
      ["lane", ...axes, "judged", "drafted"],
      ...found.map(({ lane, name, drafted, judged, kept }) => [
        ...[lane.label, name, (100 * kept) / judged, judged, drafted],
      ]),
    ],
    layout: layout(ink, {
      bargap: 0.45,
      xaxis: { tickvals: found.map((_, i) => i), ticktext: found.map(({ label }) => label), fixedrange: true },
      yaxis: { range: [0, 104], nticks: 5, ticksuffix: " %" },
      margin: { l: 44, r: 20, t: 14, b: 44 },
    }),
  };
}

/**
 * @param {Inks} ink
 * @param {Row[]} rows
 * @returns {Plotted}
 */
function drawMatches(ink, rows) {
  const front = focusLane()?.lane;
  /** @type {End[]} */
  const ends = [];
  const data = rows.flatMap(({ lane, title, nth }) => {
    const counts = provenance.byMatch(lane, done(lane)).filter(({ judged }) => judged > 0);
    if (!counts.length) return [];
    const look = stroke(lane.rule, nth);
    const y = counts.map(({ kept, judged }) => (100 * kept) / judged);
    ends.push({ y: y[y.length - 1], text: title, bold: lane === front });
    return [
      {
        x: counts.map(({ length }) => length),
        y,
        name: lane.label,
        mode: "lines+markers",
        line: { color: ink[look.color], width: look.width, dash: look.plotly },
        marker: { symbol: look.symbol, size: 7, color: ink[look.color], line: { width: 1.3, color: ink[look.color] } },
        error_y: bars(counts, ink[look.color]),
        text: counts.map(said),
        hovertemplate: `${lane.label}, after a match of %{x}: %{text}<extra></extra>`,
      },
    ];
  });
  const names = spread(ends, 104, 0.075).map((end) =>
    note(end.bold ? `<b>${end.text}</b>` : end.text, 1.02, end.at, end.bold ? ink.ink : ink.ink3),
  );
  return {
    subtitle: data.length
      ? "Of the judged tokens, the share kept, by how many tokens matched where they were copied; bars: 95 %"
      : "No lane on display copies: choose a drafter that looks earlier tokens up",
    axes: ["tokens that matched", "judged tokens kept, %"],
    kind: measured(),
    data,
    layout: layout(ink, {
      xaxis: { dtick: Math.ceil(Math.max(1, ...data.flatMap(({ x }) => x)) / 8) },
      yaxis: { range: [0, 104], nticks: 5, ticksuffix: " %" },
      annotations: [
        note("tokens that matched", 1, -0.085, ink.ink3, { name: "axis", xanchor: "right", yshift: -12 }),
        ...names,
      ],
      margin: {
        l: 44,
        r: room(
          ends.map(({ text }) => text),
          92,
        ),
        t: 14,
        b: 40,
      },
    }),
  };
}

/**
 * @param {Inks} ink
 * @param {string} mode
 */
function drafters(ink, mode) {
  const rows = shown().filter(({ lane }) => lane.rule !== "plain");
  if (!rows.length) return null;
  return mode === "match" ? drawMatches(ink, rows) : drawDrafters(ink, rows);
}

export default {
  title: "Kept by drafter",
  place: 8,
  draw: drafters,
  modes: [
    ["drafter", "by drafter"],
    ["match", "by match"],
  ],
};
