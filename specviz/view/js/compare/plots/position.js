// How often the first, second, ... drafted token was kept.
import { percent } from "specviz/core/formats.js";
import * as measures from "specviz/core/measures.js";
import { done, measured, shown } from "specviz/core/state.js";
import { stroke } from "specviz/laws/twins.js";
import { layout, note, spread } from "specviz/parts/plotly.js";
import { focusLane, likely, room, whiskers } from "specviz/compare/tools.js";

/** @typedef {ReturnType<typeof measures.bySlot>[number]} Slot */

// The counts behind a share.
/**
 * @param {Slot} slot
 * @param {boolean} all
 * @returns {[number, number]}
 */
const counts = (slot, all) => [slot.kept, all ? slot.drafted : slot.judged];

/**
 * @param {Slot} slot
 * @param {boolean} all
 */
function said(slot, all) {
  const [kept, trials] = counts(slot, all);
  return `${percent(kept / trials, 0)} %, n = ${trials} ${all ? "drafted" : "reached"}<br>${likely(kept, trials)}`;
}

/**
 * @param {Inks} ink
 * @param {string} mode
 * @returns {Plotted | null}
 */
function position(ink, mode) {
  const rows = shown().filter(({ lane }) => lane.rule !== "plain");
  if (!rows.length) return null;
  const all = mode === "all";
  const front = focusLane()?.lane;
  /** @type {End[]} */
  const ends = [];
  let deepest = 1;
  const data = rows.map(({ lane, title, nth }) => {
    const look = stroke(lane.rule, nth);
    const slots = measures.bySlot(lane, done(lane)).filter((slot) => counts(slot, all)[1] > 0);
    deepest = Math.max(deepest, Number(lane.given.draft_length) || slots.length);
    const y = slots.map((slot) => 100 * ((all ? slot.unconditional : slot.conditional) ?? 0));
    if (y.length) ends.push({ y: y[y.length - 1], text: title, bold: lane === front });
    return {
      x: slots.map((slot) => slot.slot),
      y,
      name: lane.label,
      mode: "lines+markers",
      line: { color: ink[look.color], width: look.width, dash: look.plotly },
      marker: { symbol: look.symbol, size: 7, color: ink[look.color], line: { width: 1.3, color: ink[look.color] } },
      error_y: whiskers(
        slots.map((slot) => counts(slot, all)),
        ink[look.color],
      ),
      text: slots.map((slot) => said(slot, all)),
      hovertemplate: `${lane.label}, place %{x}: %{text}<extra></extra>`,
    };
  });
  const names = spread(ends, 104, 0.075).map((end) =>
    note(end.bold ? `<b>${end.text}</b>` : end.text, 1.02, end.at, end.bold ? ink.ink : ink.ink3),
  );
  return {
    axes: ["place in the draft", all ? "kept of all drafts, %" : "kept if it was reached, %"],
    subtitle: `${all ? "Share of all drafts that kept this place" : "Share kept, given that all before it were kept"}; bars: 95 %`,
    kind: measured(),
    data,
    layout: layout(ink, {
      xaxis: { range: [0.7, deepest + 0.3], dtick: Math.ceil(deepest / 8) },
      yaxis: { range: [0, 104], nticks: 5, ticksuffix: " %" },
      annotations: [
        note("place in the draft", 1, -0.085, ink.ink3, { name: "axis", xanchor: "right", yshift: -12 }),
        ...names,
      ],
      margin: {
        l: 44,
        r: room(
          ends.map(({ text }) => text),
          78,
        ),
        t: 14,
        b: 40,
      },
    }),
  };
}

export default {
  title: "Kept by place",
  place: 4,
  draw: position,
  modes: [
    ["given", "if reached"],
    ["all", "of all"],
  ],
};
