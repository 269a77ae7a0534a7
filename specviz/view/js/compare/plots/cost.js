// How many of its tokens a drafter has kept, against what one of them costs.
import { agreement, callOf, equal } from "specviz/core/agreement.js";
import { fixed, percent } from "specviz/core/formats.js";
import { done, measured, onDisplay, shown } from "specviz/core/state.js";
import { stroke } from "specviz/laws/twins.js";
import { layout, note, spread } from "specviz/parts/plotly.js";
import { focusLane, room } from "specviz/compare/tools.js";

const LEAST = 1e-4; // calls; what costs less is drawn here
const STEPS = 48;

/** @param {Lane} lane */
const given = (lane) => lane.rounds.slice(0, done(lane)).map((round) => round.given);

function points() {
  const plain = onDisplay().lanes.find((lane) => lane.rule === "plain");
  const call = plain && callOf(given(plain));
  return shown()
    .filter(({ lane }) => lane.rule !== "plain")
    .flatMap((one) => {
      const rounds = given(one.lane);
      const unit = call ?? callOf(rounds);
      const known = unit ? agreement(rounds, unit) : null;
      return known?.interval ? [{ ...one, ...known, interval: known.interval }] : [];
    });
}

/**
 * @param {Inks} ink
 * @returns {Plotted | null}
 */
function cost(ink) {
  if (!shown().some(({ lane }) => lane.rule !== "plain")) return null;
  const found = points();
  const front = focusLane()?.lane;
  const plain = onDisplay().lanes.some((lane) => lane.rule === "plain");
  const widest = Math.max(1, ...found.map((one) => 2 * one.cost));
  const grid = Array.from({ length: STEPS + 1 }, (_, i) => LEAST * (widest / LEAST) ** (i / STEPS));
  /** @type {End[]} */
  const ends = [];
  const data = found.flatMap((one) => {
    const { lane, title, share, interval, speed, drafted } = one;
    const look = stroke(lane.rule, one.nth);
    const color = ink[look.color];
    const curve = grid.map((at) => [at, 100 * equal(one, at)]).filter(([, y]) => y <= 104);
    ends.push({ y: 100 * share, text: `${title} ${fixed(speed)}×`, bold: lane === front });
    const x = Math.max(LEAST, one.cost);
    return [
      {
        x: curve.map(([at]) => at),
        y: curve.map(([, y]) => y),
        mode: "lines",
        line: { color, width: 1, dash: look.plotly },
        opacity: 0.6,
        hoverinfo: "skip",
      },
      {
        x: [x],
        y: [100 * share],
        name: lane.label,
        mode: "markers",
        cliponaxis: false,
        marker: { symbol: look.symbol, size: 9, color, line: { width: 1.5, color } },
        error_y: {
          ...{ type: "data", symmetric: false, color, thickness: 0.8, width: 3 },
          array: [100 * (interval[1] - share)],
          arrayminus: [100 * (share - interval[0])],
        },
        hovertemplate:
          `${lane.label}: ${percent(share, 0)} % of ${drafted} drafted kept, at ${percent(one.cost)} % of a call each<br>` +
          `${fixed(one.length, 1)} drafted a round: ${fixed(speed)} tokens a call<extra></extra>`,
      },
    ];
  });
  const names = spread(ends, 104, 0.075).map((end) =>
    note(end.bold ? `<b>${end.text}</b>` : end.text, 1.02, end.at, end.bold ? ink.ink : ink.ink3),
  );
  const axes = ["cost of a drafted token, verifier calls", "drafted tokens kept, %"];
  return {
    subtitle: "Drafted tokens kept, against what one costs; along its line a drafter is as fast",
    more:
      `The unit is a verifier call that looks at one token${plain ? "" : ", here of a lane's own, since no plain lane ran"}. ` +
      "On a lane's line lie the drafters that would be as fast with drafts as long: above it they are faster. The number is the " +
      "speed-up of drafter and verifier alone, without judging and without the first round, which reads the prompt.",
    axes,
    kind: measured(),
    rows: [
      ["lane", ...axes, "low", "high", "drafted per round", "speed-up"],
      ...found.map(({ lane, cost: each, share, interval, length, speed }) => [
        ...[lane.label, each, ...[share, ...interval].map((part) => 100 * part), length, speed],
      ]),
    ],
    data,
    layout: layout(ink, {
      xaxis: {
        type: "log",
        range: [Math.log10(LEAST), Math.log10(widest)],
        tickvals: [0.0001, 0.001, 0.01, 0.1, 1],
        ticktext: ["≤0.0001", "0.001", "0.01", "0.1", "1 call"],
      },
      yaxis: { range: [0, 104], nticks: 5, ticksuffix: " %" },
      annotations: [
        note("cost of a drafted token", 1, -0.085, ink.ink3, { name: "axis", xanchor: "right", yshift: -12 }),
        ...names,
      ],
      margin: {
        l: 44,
        r: room(
          ends.map(({ text }) => text),
          104,
        ),
        t: 14,
        b: 40,
      },
    }),
  };
}

export default { title: "Agreement against cost", place: 7, draw: cost };
