// What a knob buys on this very text: exact acceptance against exact divergence, and what no rule can do. The server
// reads the text once more for it, when asked.
import { el, set } from "specviz/core/dom.js";
import { finite, label, nats, percent } from "specviz/core/formats.js";
import * as live from "specviz/core/live.js";
import * as pairs from "specviz/core/pairs.js";
import { onDisplay, shown, state } from "specviz/core/state.js";
import { stroke } from "specviz/laws/twins.js";
import { layout, note } from "specviz/parts/plotly.js";
import { focusLane } from "specviz/compare/tools.js";

const WORDS = "The models read this text once more; then every rule's acceptance and divergence on it are exact.";
const COMPUTE = "Compute for this text";
/** @type {Map<number, Answer>} */
const found = new Map(); // lane index -> answer, for the run on display
/** @typedef {{  button: HTMLButtonElement, status: HTMLElement, error: HTMLElement, box: HTMLElement }} Parts */
const parts = /** @type {Parts} */ ({});
/** @type {Run | null} */
let run = null;
/** @type {ReturnType<typeof live.ask> | null} */
let asking = null; // the question that the server has not answered yet

/** @typedef {"kl" | "tv" | "reverse_kl"} Apart how a divergence is measured */
/**
 * What the server says, see specviz/study/knob_curves.py: a rule's curve over its knob, and the one point of a setting.
 * @typedef {Record<Apart, number[]> & { acceptance: number[], gap: Record<Apart, (number | null)[]> }} Mark
 * @typedef {Mark & { rule: string, knob: string | null, values: number[], fixed: Knobs }} Curve
 * @typedef {{
 *   positions: number, curves: Curve[], marks: (Mark | null)[],
 *   frontiers: Record<Apart, { spent: number[], acceptance: number[] }>, asked: [rule: string, knobs: Knobs][],
 * }} Answer
 * @typedef {{ acceptance: number, apart: number, gap: number | null, between?: boolean }} Place
 */

/** @type {Record<Apart, [button: string, axis: string, words: (value: number) => string]>} */
const AXES = {
  // divergence: button, what stands beneath the axis, a value in words
  kl: ["KL", "KL(law‖verifier), nats", (value) => `${nats(value)} nats`],
  tv: ["TV", "total variation", (value) => `TV ${nats(value)}`],
  reverse_kl: ["reverse KL", "KL(verifier‖law), nats", (value) => `${nats(value)} nats reversed`],
};
const GAP = "Gap: what more the best rule would keep at the same divergence";

/** @type {Apart[]} */
const APART = ["kl", "tv", "reverse_kl"];
/**
 * @template Value
 * @param {Value | Value[]} values
 */
const several = (values) => (Array.isArray(values) ? values : [values]);

// A curve, or the one point of a mark, with its infinities.
/**
 * @template {Mark} Figure
 * @param {Figure} figure
 * @returns {Figure}
 */
function finiteFigure(figure) {
  return {
    ...figure,
    ...Object.fromEntries(APART.map((name) => [name, several(figure[name]).map(finite)])),
    acceptance: several(figure.acceptance),
    gap: Object.fromEntries(APART.map((name) => [name, several(figure.gap[name])])),
  };
}

// Point i of a curve against one divergence.
/**
 * @param {Mark} curve
 * @param {number} i
 * @param {Apart} mode
 */
const point = (curve, i, mode) => ({ acceptance: curve.acceptance[i], apart: curve[mode][i], gap: curve.gap[mode][i] });

/** @param {() => void} redraw */
async function ask(redraw) {
  const focus = focusLane();
  if (asking) return asking.stop();
  if (!focus) return;
  if (!live.wire()) return say("", "The page is still connecting. Try again in a moment.");
  if (!state.raw) return say("", "This run has not ended yet.");
  const asked = onDisplay();
  /** @type {Answer["asked"]} */
  const columns = state.columns.filter(({ rule }) => rule !== "plain").map(({ rule, knobs }) => [rule, knobs]);
  set(parts.button, "Stop");
  say("Reading the text once more, then every rule: a few seconds.");
  const question = { trace: state.raw, lane: focus.lane.index, rules: columns };
  asking = live.ask("buys", pairs.made(asked.trace), question, say);
  const { stopped, error, ...answer } = await asking.answer;
  asking = null;
  set(parts.button, COMPUTE);
  if (asked !== state.run || stopped) return say(stopped || "");
  if (error) return say("", error);
  say("");
  const curves = answer.curves.map(finiteFigure);
  const marks = answer.marks.map((/** @type {Mark | null} */ mark) => mark && finiteFigure(mark));
  found.set(focus.lane.index, { ...answer, curves, marks, asked: columns });
  redraw();
}

/**
 * @param {string} words
 * @param {string} error
 */
function say(words, error = "") {
  set(parts.status, words);
  set(parts.error, error);
}

/**
 * @param {Knobs} one
 * @param {Knobs} other
 */
const same = (one, other) =>
  Object.keys(one).length === Object.keys(other).length &&
  Object.keys(one).every((name) => String(one[name]) === String(other[name]));

// Where a column stands at its present knobs: as computed, or between the computed values of its main knob.
/**
 * @param {Answer} answer
 * @param {Column} column
 * @param {Apart} mode
 * @returns {Place | null}
 */
function place(answer, { rule, knobs }, mode) {
  const known = answer.asked.findIndex(([name, given]) => name === rule && same(given, knobs));
  const mark = answer.marks[known];
  if (known >= 0) return mark && point(mark, 0, mode);
  const curve = answer.curves.find(
    (one) =>
      one.rule === rule && Object.keys(one.fixed).every((name) => String(one.fixed[name]) === String(knobs[name])),
  );
  if (!curve) return null;
  if (!curve.knob) return point(curve, 0, mode);
  const own = knobs[curve.knob];
  const after = curve.values.findIndex((value) => value >= own);
  if (after <= 0) return after ? null : point(curve, 0, mode);
  const share = (own - curve.values[after - 1]) / (curve.values[after] - curve.values[after - 1]);
  const [low, high] = [point(curve, after - 1, mode), point(curve, after, mode)];
  /**
   * @param {number} from
   * @param {number} to
   */
  const mix = (from, to) => (share === 1 ? to : from + share * (to - from));
  const gap = low.gap === null || high.gap === null ? null : mix(low.gap, high.gap);
  return { acceptance: mix(low.acceptance, high.acceptance), apart: mix(low.apart, high.apart), gap, between: true };
}

/**
 * @param {Inks} ink
 * @param {string} by
 * @returns {Plotted | null}
 */
function knobs(ink, by) {
  const mode = /** @type {Apart} */ (by);
  if (run !== state.run) {
    run = state.run;
    found.clear();
    if (!asking) say("");
  }
  const focus = focusLane();
  const answer = focus && found.get(focus.lane.index);
  parts.box.hidden = Boolean(answer) || !focus;
  if (!focus || !answer) return null;
  const own = shown().flatMap(({ column, lane }) => {
    const at = place(answer, column, mode);
    return at ? [{ column, lane, at }] : [];
  });
  const frontier = answer.frontiers[mode];
  const [, axis, words] = AXES[mode];
  /** @param {number} value */
  const points = (value) => (100 * value < 0.05 ? "0" : (100 * value).toFixed(1));
  /** @param {Place} one */
  const short = (one) => (one.gap === null || !Number.isFinite(one.apart) ? "" : `, gap ${points(one.gap)} points`);
  const rise =
    frontier.spent[
      frontier.acceptance.findIndex(
        (value) =>
          value >=
          frontier.acceptance[0] +
            0.98 * (frontier.acceptance[frontier.acceptance.length - 1] - frontier.acceptance[0]),
      )
    ];
  const near = own.filter(({ at }) => at.apart <= 2 * rise);
  const wide = 1.12 * Math.max(rise, 0.004, ...near.map(({ at }) => at.apart));
  const inside = answer.curves.flatMap((curve) => curve.acceptance.filter((_, i) => curve[mode][i] <= wide));
  const floor =
    100 *
    Math.max(
      0,
      Math.min(
        frontier.acceptance[0] - 0.12,
        ...near.map(({ at }) => at.acceptance - 0.05),
        Math.max(Math.min(...inside), frontier.acceptance[0] - 0.3),
      ),
    );
  const most = frontier.spent.map((value, i) => [value, 100 * frontier.acceptance[i]]);
  if (most[most.length - 1][0] < wide) most.push([wide, most[most.length - 1][1]]);
  const edge = most.filter(([value]) => value <= wide);
  /**
   * @param {string} rule
   * @param {string | null} knob
   * @param {number} value
   */
  const named = (rule, knob, value) => label(rule, knob ? { [knob]: value } : {});
  const lines = answer.curves.map((curve) => {
    const mine = own.find(
      ({ column }) =>
        column.rule === curve.rule &&
        Object.keys(curve.fixed).every((name) => String(curve.fixed[name]) === String(column.knobs[name])),
    );
    const look = stroke(curve.rule);
    const all = curve.values
      .map((value, i) => ({ ...point(curve, i, mode), value }))
      .filter(({ apart, acceptance }) => Number.isFinite(apart) && (curve.knob || 100 * acceptance > floor + 1));
    const front = mine && mine.lane === focus.lane;
    return {
      name: curve.rule,
      x: all.map((p) => p.apart),
      y: all.map((p) => 100 * p.acceptance),
      text: all.map(
        (p) =>
          `${named(curve.rule, curve.knob, p.value)}: keeps ${percent(p.acceptance)} % at ${words(p.apart)}${short(p)}`,
      ),
      hovertemplate: "%{text}<extra></extra>",
      mode: all.length > 1 ? "lines" : "markers",
      opacity: mine ? 1 : 0.55,
      line: {
        color: ink[mine ? look.color : "mute"],
        width: front ? 2.25 : mine ? Math.max(1.4, look.width) : 1.1,
        dash: front ? "solid" : look.plotly,
      },
      marker: { symbol: look.symbol, size: 7, color: ink.ink3 },
    };
  });
  const marks = near.map(({ column, lane, at }) => ({
    x: [at.apart],
    y: [100 * at.acceptance],
    mode: "markers",
    cliponaxis: false,
    hovertemplate:
      `${label(column.rule, column.knobs)}: keeps %{y:.1f} % at ` +
      `${words(at.apart)}${short(at)}${at.between ? ", between computed values" : ""}<extra></extra>`,
    marker: {
      symbol: stroke(column.rule).symbol.replace("-open", ""),
      size: lane === focus.lane ? 11 : 9,
      color: ink[lane === focus.lane ? "ink" : "ink2"],
      line: { width: 1.5, color: ink.ground },
    },
  }));
  const far = own
    .filter((one) => !near.includes(one))
    .map(
      ({ column, at }) => `${label(column.rule, column.knobs)} keeps ${percent(at.acceptance)} % at ${words(at.apart)}`,
    );
  const gaps = own
    .filter(({ at }) => short(at))
    .map(({ column, at }) => `${label(column.rule, column.knobs)}: ${points(at.gap ?? 0)}`);
  const tall = 102 - floor;
  /** @type {{ apart: number, y: number }[]} */
  const placed = [];
  const names = [...near]
    .sort((a, b) => b.at.acceptance - a.at.acceptance)
    .map(({ column, lane, at }) => {
      const above = placed
        .filter((one) => Math.abs(one.apart - at.apart) < 0.3 * wide)
        .map((one) => one.y - 0.075 * tall);
      const y = Math.max(floor + 0.04 * tall, Math.min(100 * at.acceptance - 0.05 * tall, ...above));
      placed.push({ apart: at.apart, y });
      const name = label(column.rule, column.knobs);
      return note(
        lane === focus.lane ? `<b>${name}</b>` : name,
        at.apart,
        y,
        lane === focus.lane ? ink.ink : ink.ink2,
        { xref: "x", yref: "y", xshift: 8, bgcolor: ink.ground, borderpad: 1 },
      );
    });
  return {
    subtitle: `${answer.positions} judged positions of ${focus.lane.label}. Each line is a rule as its knob moves.`,
    more:
      `Point at a thin line for its name. ${far.length ? `Further right: ${far.join(", ")}. ` : ""}` +
      `${GAP}${gaps.length ? `; in points of acceptance: ${gaps.join(", ")}` : ""}.`,
    axes: [axis, "kept of what is drafted, %"],
    kind: near.some(({ at }) => at.between) ? "estimated" : "exact",
    data: [
      {
        x: [...edge.map(([value]) => value), wide, 0],
        y: [...edge.map(([, y]) => y), 102, 102],
        mode: "none",
        fill: "toself",
        fillcolor: "rgba(0,0,0,0)",
        fillpattern: { shape: "/", size: 7, solidity: 0.14, fgcolor: ink.line2, bgcolor: "rgba(0,0,0,0)" },
        hoverinfo: "skip",
      },
      ...lines,
      {
        x: edge.map(([value]) => value),
        y: edge.map(([, y]) => y),
        mode: "lines",
        name: "best any rule can do",
        line: { color: ink.amber, width: 3.5 },
        text: edge.map(([value]) => words(value)),
        hovertemplate: "No rule keeps more than %{y:.1f} % at %{text}<extra></extra>",
      },
      ...marks,
    ],
    layout: layout(ink, {
      height: 330,
      margin: { l: 44, r: 84, t: 14, b: 44 },
      xaxis: { range: [-0.015 * wide, wide], nticks: 6 },
      yaxis: { range: [floor, 102], nticks: 5, ticksuffix: " %" },
      annotations: [
        note(axis, 1, -0.085, ink.ink3, { name: "axis", xanchor: "right", yshift: -12 }),
        note("no rule can be here", 0.03, 0.97, ink.ink2, {
          xref: "paper",
          yanchor: "top",
          bgcolor: ink.ground,
          borderpad: 2,
        }),
        note(
          "<b>best any<br>rule can do</b>",
          1.02,
          Math.min(0.94, (edge[edge.length - 1][1] - floor) / tall),
          ink["amber-ink"],
          { align: "left" },
        ),
        ...names,
      ],
    }),
  };
}

/** @param {() => void} redraw */
function served(redraw) {
  parts.button = el("button.plainbutton.outlined", { type: "button", onclick: () => ask(redraw) }, COMPUTE);
  parts.status = el("p.notice", { role: "status" });
  parts.error = el("p.error", { role: "alert" });
  parts.box = el("div.askserver", null, el("p.caption", null, WORDS), parts.button, parts.status, parts.error);
  return parts.box;
}

export default {
  title: "What the knob buys on this text",
  place: 6,
  draw: knobs,
  served,
  modes: Object.entries(AXES).map(([name, [words]]) => [name, words]),
};
