// What each judged step really cost, and what was spent on its token.
import * as continued from "specviz/core/continued.js";
import { nats, number, symbol } from "specviz/core/formats.js";
import { onDisplay } from "specviz/core/state.js";
import * as store from "specviz/core/store.js";
import * as rules from "specviz/laws/rules.js";
import { layout, note } from "specviz/parts/plotly.js";
import { byFate, focusLane, path, ringed, tokenText, upTo } from "specviz/compare/tools.js";

const TITLE = "How far each step strays";

/** @param {number} value */
const times = (value) => `${value.toFixed(1)} times`;

// What the budget bounds, and what it does not, in a sentence each.
/** @param {ReturnType<typeof rules.spending>} budget */
function explained(budget) {
  if (!budget) return "";
  const law = budget.lawOver
    ? `<br>The step costs ${times(budget.law / budget.delta)} the budget: every token that<br>could have been ` +
      "drafted has a lift of its own, and they add up."
    : "";
  const target = budget.targetOver
    ? "<br>This token alone costs more than the budget: taylor lifts<br>too far here, the exact solver would " +
      "stop at it."
    : "";
  return law + target;
}

/**
 * @param {ReturnType<typeof rules.spent>} found
 * @param {Lane} lane
 */
function summary(found, lane) {
  if (!found || !found.delta) return "";
  const law = found.lawOver
    ? `On ${found.lawOver} of ${found.judged} judged tokens the output law spent more than the budget, at ` +
      `most ${times(found.worst ?? 0)} it (boxed).`
    : `On none of ${found.judged} judged tokens did the output law spend more than the budget.`;
  const target = found.targetOver
    ? ` On ${found.targetOver} the token's own target did (thick ticks): taylor only approximates the budget.`
    : "";
  const other = lane.knobs.solver === "exact" ? "taylor" : "exact";
  return `${law}${target} Mean: token ${nats(found.target)} (${other} ${nats(found[other])}), law ${nats(found.law)}.`;
}

// What was spent in all, in few words; the rest is told when the line is pointed at.
/** @param {ReturnType<typeof rules.spent>} found */
function short(found) {
  if (!found || !found.delta) return "";
  return found.lawOver ? `. Over the budget on ${found.lawOver} of ${found.judged} (boxed)` : ". None over the budget";
}

/**
 * @param {Inks} ink
 * @returns {Plotted | null}
 */
function divergence(ink) {
  const focus = focusLane();
  if (!focus) return null;
  const { lane } = focus;
  const floor = 1e-4;
  const run = onDisplay();
  const first = continued.promptLength(run.trace);
  const points = upTo(lane)
    .filter((token) => token.fate !== "discarded")
    .flatMap((token) => {
      const { facts } = store.detail(run, token);
      if (!facts) return [];
      const { klOutput, klTarget } = facts;
      const spot = { x: token.position - first + 1, y: Math.max(floor, Number.isFinite(klOutput) ? klOutput : 20) };
      return [{ token, budget: rules.spending(lane, facts), ...spot, kl: klOutput, target: klTarget }];
    });
  const marked = points.filter(({ token }) => token.fate !== "accepted");
  /**
   * @param {Fate} fate
   * @param {string} color
   */
  const stems = (fate, color) =>
    path(
      marked.filter((p) => p.token.fate === fate),
      ({ x, y }) => `M${x},${floor}V${y}`,
      { color, width: 1.5 },
      { opacity: marked.length > 24 ? 0.35 : 1 },
    );
  const beyond = points.filter((p) => p.budget?.lawOver);
  const targets = points.filter((p) => typeof p.target === "number" && p.target > floor);
  const budget = rules.budget(lane.rule);
  const delta = budget && lane.knobs[budget.name];
  const spent = rules.spent(run, lane, upTo(lane));
  const last = Math.max(10, lane.tokens.length ? lane.tokens[lane.tokens.length - 1].position - first + 1 : 10);
  /**
   * @param {boolean} over
   * @param {number} half
   * @param {number} width
   */
  const ticks = (over, half, width) =>
    path(
      targets.filter((p) => Boolean(p.budget?.targetOver) === over),
      ({ x, target }) => `M${x - half},${target}H${x + half}`,
      { color: ink.amber, width },
      { opacity: 0.5 },
    );
  const bound =
    typeof delta === "number" && delta > 0
      ? [
          {
            type: "line",
            x0: 0,
            x1: 1,
            xref: "paper",
            y0: delta,
            y1: delta,
            line: { color: ink.amber, width: 1.5, dash: "dash" },
          },
        ]
      : [];
  return {
    title: budget ? "Where the budget went" : TITLE,
    subtitle: `Each judged step of ${lane.label}, nats from the verifier${targets.length ? "; ticks: its token" : ""}${short(spent)}`,
    more: summary(spent, lane),
    axes: ["position in the answer", "KL(output law ‖ verifier) of the step, nats"],
    rows: [
      [
        "fate",
        "position in the answer",
        "KL(output law ‖ verifier) of the step, nats",
        "spent on its token, nats",
        "token",
      ],
      ...points.map((p) => [p.token.fate, p.x, p.kl, p.target ?? null, p.token.text]),
    ],
    data: [
      {
        x: beyond.map((p) => p.x),
        y: beyond.map((p) => p.y),
        mode: "markers",
        cliponaxis: false,
        marker: { symbol: "square-open", size: 12, color: ink["amber-ink"], line: { width: 1.2 } },
        hoverinfo: "skip",
      },
      ...byFate(
        points,
        ink,
        (p) =>
          `${tokenText(p.token)}: ${p.token.fate}<br>step ${nats(p.kl)} ` +
          `nats${typeof p.target === "number" ? `, this token ${nats(p.target)}` : ""}${explained(p.budget)}`,
      ),
      ...ringed(points, ink),
    ],
    layout: layout(ink, {
      margin: { l: 40, r: 64, t: 18, b: 30 },
      shapes: [
        ...stems("relaxed", ink.amber),
        ...stems("rejected", ink.red),
        ...ticks(false, last / 150, 1.3),
        ...ticks(true, last / 95, 2.6),
        ...bound,
      ],
      xaxis: { range: [0, last + 2], nticks: 7 },
      yaxis: {
        type: "log",
        range: [-4.15, Math.max(0.35, Math.log10(Math.max(1, ...points.map((p) => p.y))) + 0.15)],
        dtick: 1,
        tickvals: [1e-4, 1e-3, 0.01, 0.1, 1, 10],
        ticktext: ["0", "0.001", "0.01", "0.1", "1", "10"],
      },
      annotations: [
        note("position", 1.02, -0.085, ink.ink3, { name: "axis" }),
        ...(bound.length
          ? [
              note(
                `<b>budget<br>${symbol(budget?.name ?? "")} = ${number(delta)}</b>`,
                1.02,
                Math.log10(delta),
                ink["amber-ink"],
                {
                  yref: "y",
                  align: "left",
                },
              ),
            ]
          : []),
        ...(lane.lossless
          ? [note("Lossless: every step costs exactly 0.", 0.5, 0.5, ink.ink3, { xanchor: "center" })]
          : []),
      ],
    }),
  };
}

export default { title: TITLE, place: 1, draw: divergence };
