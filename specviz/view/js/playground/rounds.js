// Rounds played one at a time, every step in sight: the draft says a word, a draw falls on the rule's bar, and what is
// refused is rewritten from the residual.
import { calm, el, set } from "specviz/core/dom.js";
import { named, percent, prob } from "specviz/core/formats.js";
import { put, svg } from "specviz/parts/svg.js";
import * as play from "specviz/playground/play.js";
import { state } from "specviz/playground/play.js";
import {
  acceptance,
  chip,
  columns,
  draw,
  fall,
  places,
  ROWS,
  shortened,
  TALL,
  text,
  written,
} from "specviz/playground/stage.js";

/** @typedef {import("specviz/playground/check.js").Sampler} Sampler */
/** @typedef {ReturnType<Sampler["once"]>} Toss a round: the drafted token, the draw, and what became of it */

const PACE = 340; // ms between rounds that play by themselves
/** @typedef {{  said: HTMLElement, stage: SVGSVGElement, box: HTMLElement }} Parts */
const parts = /** @type {Parts} */ ({});
/** @type {Toss | null} */
let round = null; // the one on display: {token, uniform, kept, word}, see laws.js
let step = 0; // what is seen of it: 1 the drafted word, 2 the draw, 3 kept or refused, 4 the word in its place
/** @type {import("specviz/playground/stage.js").Tally[]} */
let counts = []; // of each word, how often it was {kept, rewritten} since the numbers last changed
let timer = 0;

const done = () => !round || step >= (round.kept ? 3 : 4);
/** @param {number} i */
const word = (i) => el("bdi.tok", null, named(state.names[i]));

// Whether a round stands half way.
export const underWay = () => !done();

function count() {
  if (!round) return;
  const one = counts[round.word];
  if (round.kept) one.kept += 1;
  else one.rewritten += 1;
}

// One step further: into the next round of `sampler`, where the last one is over.
/** @param {Sampler} sampler */
export function forward(sampler) {
  halt();
  if (done()) [round, step] = [sampler.once(), 0];
  step += 1;
  if (done()) count();
  render(true);
}

// Some rounds, one after the other; at once for who wants no motion. `ended` is called behind the last.
/**
 * @param {Sampler} sampler
 * @param {number} many
 * @param {() => void} ended
 */
export function several(sampler, many, ended) {
  halt();
  if (!done()) {
    step = 4;
    count();
  }
  let left = many;
  const next = () => {
    [round, step] = [sampler.once(), 4];
    count();
    left -= 1;
    if (calm() && left) return next();
    render(!calm());
    if (left) timer = setTimeout(next, PACE);
    else {
      timer = 0;
      ended();
    }
    return null;
  };
  next();
}

export const playing = () => timer !== 0;

export function halt() {
  clearTimeout(timer);
  timer = 0;
}

// Other numbers, another game.
export function forget() {
  halt();
  [round, step, counts] = [null, 0, state.names.map(() => ({ kept: 0, rewritten: 0 }))];
  if (parts.stage) render();
}

// What the step on display says.
function sentence() {
  const { focus } = play.now;
  const total = counts.reduce((sum, one) => sum + one.kept + one.rewritten, 0);
  if (!round) return ["Draw 1 plays a round step by step; the button or Space goes on."];
  const { token, uniform, kept } = round;
  const phi = focus.accept[token];
  if (step === 1)
    return [
      "The draft says ",
      word(token),
      `, as it does ${percent(state.draft[token])} % of the time. Now the rule looks at it.`,
    ];
  if (step === 2)
    return [
      el("b", null, focus.rule),
      " keeps ",
      word(token),
      ` with φ = ${prob(phi)}. The draw is u = ${prob(uniform)}, ${kept ? "inside" : "beyond"} the bar.`,
    ];
  if (kept) return [word(token), ` is kept: u = ${prob(uniform)} is below φ = ${prob(phi)}. `, ...tally(total)];
  if (step === 3)
    return [
      word(token),
      ` is refused: u = ${prob(uniform)} is not below φ = ${prob(phi)}. The residual writes in its place: what the rule still owes the other words.`,
    ];
  return [
    "In place of ",
    word(token),
    " the residual writes ",
    word(round.word),
    `, as it does ${percent(focus.residual(token)[round.word])} % of the time. `,
    ...tally(total),
  ];
}

/** @param {number} total */
function tally(total) {
  const kept = counts.reduce((sum, one) => sum + one.kept, 0);
  return [`${kept} of ${total} kept so far; in the long run ${percent(play.now.focus.acceptance, 1)} %.`];
}

// Draws the stage as the step leaves it; with `moves` what this step brought falls into its place.
export function render(moves = false) {
  if (!parts.stage || !state.open) return;
  if (counts.length !== state.names.length) counts = state.names.map(() => ({ kept: 0, rewritten: 0 }));
  parts.said.replaceChildren(...sentence());
  parts.box.dataset.step = round ? (done() ? "done" : String(step)) : "none";
  parts.box.hidden = !round;
  const wide = parts.box.clientWidth;
  if (!round || !wide) return;
  const at = places(wide);
  const refused = !round.kept && step >= 3;
  put(parts.stage, { width: wide, height: TALL, viewBox: `0 0 ${wide} ${TALL}` });
  const drafted = chip(
    round.token,
    at,
    ROWS.chip,
    refused ? { struck: true, text: { fill: "var(--red-ink)" }, box: { stroke: "var(--line2)" } } : {},
  );
  const toss = round;
  const mark = step >= 2 ? draw(toss.uniform, at) : null;
  const rest = refused ? play.now.focus.residual(round.token) : null;
  const rewriting =
    refused && step >= 4
      ? chip(round.word, at, ROWS.written - 62, { box: { stroke: "var(--blue)" }, text: { fill: "var(--blue-ink)" } })
      : null;
  parts.stage.replaceChildren(
    text("the draft says", at.left, 11),
    ...columns(
      state.draft,
      at,
      ROWS.draft,
      58,
      (chosen) => ({
        fill: chosen ? "var(--mute)" : "var(--sheet)",
        stroke: "var(--ink2)",
        "stroke-width": chosen ? 2 : 1.2,
      }),
      round.token,
    ),
    svg("line", { x1: at.left, x2: at.right, y1: ROWS.draft, y2: ROWS.draft, stroke: "var(--line2)" }),
    ...state.names.map((name, i) =>
      text(shortened(name, at.each - 4), at.centre(i), ROWS.names + 1, {
        "text-anchor": "middle",
        "font-family": "var(--mono)",
        fill: i === toss.token ? "var(--ink)" : "var(--ink2)",
      }),
    ),
    ...acceptance(play.now.focus.accept[toss.token], at),
    drafted,
    ...(mark ? [mark] : []),
    ...(rest
      ? [
          text("the residual, what is still owed", at.left, ROWS.bar + 56),
          ...columns(
            rest,
            at,
            ROWS.residual,
            44,
            (chosen) => ({ fill: chosen ? "var(--blue)" : "none", stroke: "var(--blue)", "stroke-width": 1.2 }),
            step >= 4 ? round.word : -1,
          ),
          svg("line", { x1: at.left, x2: at.right, y1: ROWS.residual, y2: ROWS.residual, stroke: "var(--line2)" }),
        ]
      : []),
    ...written(counts, at).flat(),
    ...(rewriting ? [rewriting] : []),
  );
  if (!moves) return;
  if (step === 1) fall(drafted, ROWS.draft - ROWS.chip - 10);
  if (mark && step === 2) fall(mark, -40);
  if (rewriting) fall(rewriting, -50);
}

export function build() {
  parts.said = el("p.roundwords", { role: "status", "aria-live": "polite" });
  parts.stage = svg("svg", { class: "stage", "aria-hidden": "true" });
  parts.box = el("div.stagebox", { hidden: true, "data-step": "none" }, parts.stage);
  let seen = 0;
  new ResizeObserver(() => {
    const now = parts.box.clientWidth;
    if (now && now !== seen) {
      seen = now;
      render();
    }
  }).observe(parts.box);
  set(parts.said, "");
  return el("div", null, parts.said, parts.box);
}
