// Draft probability against verifier probability, with each rule's line of certain acceptance.
import { label, percent } from "specviz/core/formats.js";
import { onDisplay, shown } from "specviz/core/state.js";
import { rejudged } from "specviz/laws/rejudged.js";
import * as rules from "specviz/laws/rules.js";
import { stroke } from "specviz/laws/twins.js";
import { layout, note } from "specviz/parts/plotly.js";
import { byFate, focusLane, ringed, tokenText, upTo } from "specviz/compare/tools.js";

/**
 * @param {Inks} ink
 * @returns {Plotted | null}
 */
function map(ink) {
  const focus = focusLane();
  if (!focus) return null;
  const { lane } = focus;
  const wanted = rejudged(onDisplay(), lane, focus.column.knobs)?.changed ?? new Map();
  const floor = 1e-6;
  /** @param {number} value */
  const clamp = (value) => Math.min(1, Math.max(floor, value));
  const points = upTo(lane)
    .filter((token) => token.judged >= 0 && token.fate !== "discarded")
    .map((token) => ({
      token,
      fate: wanted.get(token.key)?.fate,
      x: Math.max(1e-4, token.draft),
      y: clamp(token.verifier),
    }));
  const grid = Array.from({ length: 61 }, (_, i) => 10 ** (-4 + i / 15));
  /** @type {Series[]} */
  const lines = [];
  /** @type {{ rule: string, y: number, bold: boolean }[]} */
  const ends = [];
  shown().forEach(({ lane: one, column }) => {
    const ys = grid.map((x) => rules.contour(one.rule, column.knobs, x));
    if (ys.every((y) => y === null)) return;
    const look = stroke(one.rule);
    lines.push({
      x: grid,
      y: ys.map((y) => (y === null || y < floor ? null : Math.min(1, y))),
      mode: "lines",
      line: {
        color: ink[look.color],
        width: one === lane ? 2.25 : look.width,
        dash: one === lane ? "solid" : look.plotly,
      },
      hoverinfo: "skip",
    });
    ends.push({ rule: one.rule, y: clamp(ys[ys.length - 1] ?? floor), bold: one === lane });
  });
  ends.sort((a, b) => b.y - a.y);
  let above = 1.08;
  const names = ends.map(({ rule, y, bold }) => {
    const at = Math.min((Math.log10(y) + 6) / 6, above - 0.075);
    above = at;
    return note(bold ? `<b>${rule}</b>` : rule, 1.02, at, bold ? ink.ink : ink.ink3);
  });
  return {
    subtitle: `Judged tokens of ${label(lane.name, focus.column.knobs)}. Above its line a rule always keeps`,
    axes: ["draft probability", "verifier probability"],
    rows: [
      ["fate", "draft probability", "verifier probability", "token"],
      ...points.map((p) => [p.fate || p.token.fate, p.token.draft, p.token.verifier, p.token.text]),
    ],
    data: [
      ...lines,
      ...byFate(
        points,
        ink,
        (p) =>
          `${tokenText(p.token)}: ${p.fate || p.token.fate}<br>draft ${percent(p.token.draft)} %, verifier ` +
          `${percent(p.token.verifier)} %`,
      ),
      ...ringed(points, ink),
    ],
    layout: layout(ink, {
      xaxis: {
        type: "log",
        range: [-4.05, 0.06],
        tickvals: [1e-4, 1e-3, 0.01, 0.1, 1],
        ticktext: ["10⁻⁴", "0.001", "0.01", "0.1", "1"],
      },
      yaxis: {
        type: "log",
        range: [-6.15, 0.2],
        tickvals: [1e-6, 1e-4, 0.01, 1],
        ticktext: ["10⁻⁶", "10⁻⁴", "0.01", "1"],
      },
      annotations: [
        note("draft prob.", 1.02, -0.085, ink.ink3, { name: "axis" }),
        note("verifier prob.", 0.01, 1.02, ink.ink3, { name: "axis", yanchor: "bottom" }),
        ...names,
      ],
    }),
  };
}

export default { title: "Acceptance map", place: 2, draw: map };
