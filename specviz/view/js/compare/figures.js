// The figures of a lane: of the rounds so far, and, while a knob differs from what ran, under that knob, the old ones struck.
import { boot } from "specviz/core/boot.js";
import * as costs from "specviz/core/costs.js";
import { el, set } from "specviz/core/dom.js";
import { telling } from "specviz/core/estimates.js";
import { fixed, nats, percent } from "specviz/core/formats.js";
import * as measures from "specviz/core/measures.js";
import { done, measured, state } from "specviz/core/state.js";
import { rejudged } from "specviz/laws/rejudged.js";
import * as card from "specviz/parts/card.js";
import * as hardware from "specviz/compare/hardware.js";

/** @param {number} value */
const times = (value) => `${fixed(value)}×`;
/**
 * @param {number | null} digits
 * @returns {(value: number) => string}
 */
const share = (digits) => (value) => `${percent(value, digits)} %`;

/** @typedef {(value: number) => string} Show */
/** @typedef {Partial<ReturnType<typeof measures.figures>> & { estimated?: number | null }} Figures */
/** @typedef {NonNullable<ReturnType<NonNullable<ReturnType<typeof rejudged>>["at"]>>} Again */
/** @typedef {"emitted_per_round" | "speedup" | "estimated" | "relaxed_share"} Big */
/** @typedef {"accepted_per_round" | "acceptance_rate" | "mean_kl" | "tokens_per_second"} Small */
/** @typedef {Big | Small} Name */

// name, its words beside the value, and how the value is said
/** @type {[Big, string, Show][]} */
const BIG = [
  ["emitted_per_round", "tokens/call", fixed],
  ["speedup", "speed-up", times],
  ["estimated", "at set costs", times],
  ["relaxed_share", "leniency", share(null)],
];
/** @type {[Small, string, Show][]} */
const SMALL = [
  ["accepted_per_round", "kept per round", fixed],
  ["acceptance_rate", "accepted", share(0)],
  ["mean_kl", "KL", nats],
  ["tokens_per_second", "tok/s", (value) => String(Math.round(value))],
];
const LEAST = "≥";
const NOISY = "too noisy to say";
const TIMED = ["speedup", "tokens_per_second"];
const PARTS = ["draft", "verify", "rest"]; // of a lane's time
/** @type {Record<string, string>} where a run came from, behind the kind of a number */
const FROM = { live: "", imported: ", from an imported run", recorded: ", from a recorded run" };
/** @type {Record<string, { label: string, kind: string, definition: string }>} */
const OWN = {
  estimated: {
    label: "speed-up at set costs",
    kind: "estimated",
    definition:
      "The speed-up over plain decoding on hardware where a verifier call costs what is set below the lanes, from the exact " +
      "counts of this lane's rounds.",
  },
  time: {
    label: "where the time went",
    kind: "measured",
    definition:
      "Shares of this lane's time: drafting; the verifier; the rest, which is judging, drawing and whatever else the loop does.",
  },
};

/** @param {string} name */
const definition = (name) => boot.definitions[name] || OWN[name] || { label: name, kind: "exact", definition: "" };

/** @param {string} name */
function kindOf(name) {
  const { kind } = definition(name);
  return kind === "measured" ? measured() : kind;
}

/**
 * @param {FiguresView} view
 * @param {string} name
 * @param {string} words
 */
function figure(view, name, words) {
  const value = el("dd", null, "–");
  const note = el("small");
  const badge = el("span.badge", null, "");
  const term = el(
    "dt",
    null,
    el("span", null, name === "relaxed_share" ? [el("s", { "aria-hidden": "true" }), " "] : null, words),
    badge,
    note,
  );
  const node = el("div.figure", { "data-figure": name }, term, value);
  view.parts[name] = { node, value, badge, note };
  describe(view, node, name);
  return node;
}

/**
 * @param {FiguresView} view
 * @param {string} name
 * @param {string} words
 */
function small(view, name, words) {
  const value = el("b", null, "–");
  const node = el("span", { "data-figure": name, tabindex: -1 }, value, ` ${words}`);
  if (name === "mean_kl") node.replaceChildren(`${words} `, value);
  view.parts[name] = { node, value };
  describe(view, node, name);
  return node;
}

/** @param {FiguresView} view */
function timeBar(view) {
  view.bars = PARTS.map((words) => el(`i.${words}`, null, el("span", null, words)));
  view.bar = el("div.timebar", { role: "img", tabindex: 0, "data-figure": "time" }, view.bars);
  describe(view, view.bar, "time");
  return view.bar;
}

// What is said of a figure when it is pointed at, or has the focus.
/**
 * @param {FiguresView} view
 * @param {HTMLElement} node
 * @param {string} name
 */
function describe(view, node, name) {
  const say = () => {
    const { label, definition: words } = definition(name);
    const from = FROM[state.source ?? "recorded"];
    card.tell(node, label, [words, ...(view.said[name] || []), `This number is ${kindOf(name)}${from}.`]);
  };
  node.addEventListener("pointerenter", say);
  node.addEventListener("focus", say);
  node.addEventListener("pointerleave", () => card.hide());
  node.addEventListener("blur", () => card.hide());
}

export function build() {
  const view = /** @type {FiguresView} */ ({ parts: {}, said: {} });
  view.big = el(
    "dl.big",
    null,
    BIG.map(([name, words]) => figure(view, name, words)),
  );
  view.small = el(
    "div.small",
    null,
    SMALL.map(([name, words]) => small(view, name, words)),
  );
  view.more = el("div.lesser", null, timeBar(view), view.small);
  return view;
}

// A value as it is said; `least` where it is the least it can be.
/**
 * @param {Show} show
 * @param {number | null | undefined} value
 * @param {boolean} [least]
 */
const said = (show, value, least) =>
  value === null || value === undefined || Number.isNaN(value) ? "–" : `${least ? LEAST : ""}${show(value)}`;

// Puts a value there, the old one struck beside it if it is another.
/**
 * @param {HTMLElement} node
 * @param {string} now
 * @param {string | null} was
 */
function put(node, now, was = null) {
  const stamp = `${was ?? ""}|${now}`;
  if (node.dataset.stamp === stamp) return;
  node.dataset.stamp = stamp;
  const value = now.startsWith(LEAST) ? [el("small", null, LEAST), now.slice(LEAST.length)] : [now];
  node.replaceChildren(...(was === null ? [] : [el("del", null, was), " "]), ...value);
}

// What stands in for the speed-up until its interval says something.
/** @param {Figures} f */
function speed(f) {
  if (f.speedup === null || f.speedup === undefined) return "–";
  return telling({ value: f.speedup, low: f.speedup_low ?? null, high: f.speedup_high ?? null })
    ? times(f.speedup)
    : NOISY;
}

/** @param {Figures} f */
function interval(f) {
  if (f.speedup === null || f.speedup === undefined) return [];
  if (typeof f.speedup_low !== "number")
    return [`${times(f.speedup)} so far: one round says nothing about how rounds differ.`];
  return [`${times(f.speedup)}, with 95 % between ${fixed(f.speedup_low)} and ${fixed(f.speedup_high)}.`];
}

/**
 * @param {Lane} lane
 * @param {{ rounds: number, drafted: number, emitted: number }} counts
 */
function ofCosts(lane, counts) {
  const known = hardware.current();
  return known && lane.rule !== "plain" ? costs.speedup(known, counts, hardware.drafts(lane)) : null;
}

// What the figures under a turned knob are, in words for each.
/**
 * @param {Again | null} again
 * @returns {Record<string, string[]>}
 */
function explained(again) {
  if (!again) return {};
  const draws = "Of the recorded drafts, with the same draws";
  /** @param {boolean} least */
  const counted = (least) =>
    least
      ? [`${draws}: at least. What stands behind a token that is kept now and was refused then was never judged.`]
      : [`${draws}: exact.`];
  const { expected, whole } = again;
  const chance = expected
    ? [
        `Mean chance of a recorded position to be kept: ${percent(expected.now, 1)} %, was ` +
          `${percent(expected.was, 1)} %. Exact.`,
      ]
    : [];
  const known = whole.count
    ? `On the ${whole.count} of ${whole.of} judged positions that the trace holds whole: ${nats(whole.now)}, was ${nats(whole.was)}. Exact.`
    : "";
  return {
    emitted_per_round: counted(again.emitted_per_round.least),
    accepted_per_round: counted(again.accepted_per_round.least),
    acceptance_rate: ["Of the recorded positions, with the same draws: exact.", ...chance],
    relaxed_share: counted(again.emitted_per_round.least),
    mean_kl: [
      known,
      whole.count < whole.of ? "Not computable from this trace for the others: it holds only their likely tokens." : "",
    ],
    estimated: counted(again.emitted_per_round.least),
    ...Object.fromEntries(TIMED.map((name) => [name, ["Not computable from a trace: only a run has a clock."]])),
  };
}

// Brings the figures to `rounds` rounds of a lane; null: nothing is shown.
/**
 * @param {FiguresView} view
 * @param {Column} column
 * @param {Lane | null} lane
 * @param {number} rounds
 */
export function draw(view, column, lane, rounds) {
  const { run } = state;
  const plain = run?.lanes.find((one) => one.rule === "plain");
  /** @type {Figures} */
  const f = run && lane ? measures.figures(run, lane.index, rounds, plain ? done(plain) : null) : {};
  const drafting = lane && lane.rule !== "plain";
  const turned = run && drafting ? rejudged(run, lane, column.knobs) : null;
  const again = turned && rounds ? turned.at(rounds) : null;
  f.estimated = lane ? ofCosts(lane, lane.sums[Math.min(rounds, lane.sums.length - 1)]) : null;
  const estimated = lane && again ? ofCosts(lane, again.counts) : null;
  /** @type {Partial<Record<Name, { value: number | null, least: boolean }>>} */
  const later = again ? { ...again, estimated: { value: estimated, least: again.emitted_per_round.least } } : {};
  view.said = { ...explained(again) };
  view.said.speedup = [...interval(f), ...(view.said.speedup || [])];
  view.said.estimated = [`${hardware.source()}.`, ...(view.said.estimated || [])];
  if (turned && !again)
    [...BIG, ...SMALL].forEach(([name]) => {
      view.said[name] = ["Under the knob as it stands: not computable from a trace. Run to see."];
    });
  /**
   * @param {Name} name
   * @param {Show} show
   * @returns {[now: string, was?: string]}
   */
  const shown = (name, show) => {
    const was = name === "speedup" ? speed(f) : said(show, f[name]);
    if (!turned) return [was];
    const again = later[name];
    const now = again ? said(show, again.value, again.least) : "–";
    return now === was ? [now] : [now, was === NOISY ? "noisy" : was];
  };
  BIG.forEach(([name, , show]) => {
    const { node, value, badge, note } = /** @type {Required<typeof view.parts[string]>} */ (view.parts[name]);
    const none =
      !lane ||
      f[name] === null ||
      f[name] === undefined ||
      (!drafting && name !== "speedup" && name !== "emitted_per_round");
    if (none) put(value, "–");
    else put(value, ...shown(name, show));
    node.classList.toggle("none", none);
    node.classList.toggle("unsure", name === "speedup" && !none && speed(f) === NOISY && !turned);
    const why = name === "speedup" && lane && !plain ? "no plain lane ran" : "";
    badge.className = `badge ${kindOf(name)}`;
    badge.hidden = none || !["speedup", "estimated"].includes(name);
    set(badge, kindOf(name));
    const sure = name === "speedup" && !none && typeof f.speedup_low === "number";
    set(note, sure ? `${fixed(f.speedup_low)} – ${fixed(f.speedup_high)}` : why);
  });
  SMALL.forEach(([name, , show]) => {
    const { value } = view.parts[name];
    if (lane) put(value, ...shown(name, show));
    else put(value, "–");
  });
  view.small.classList.toggle("plain", !drafting);
  drawTime(view, f);
}

/**
 * @param {FiguresView} view
 * @param {Figures} f
 */
function drawTime(view, { draft_share: drafting, verify_share: verifying }) {
  const known = typeof drafting === "number" && typeof verifying === "number";
  view.bar.classList.toggle("none", !known);
  const shares = known ? [drafting, verifying, Math.max(0, 1 - drafting - verifying)] : [0, 0, 0];
  shares.forEach((share, i) => {
    const width = `${(100 * share).toFixed(2)}%`;
    if (view.bars[i].style.width !== width) view.bars[i].style.width = width;
  });
  const words = PARTS.map((part, i) => `${part} ${percent(shares[i], 0)} %`).join(", ");
  view.said.time = known ? [`${words}.`] : [];
  view.bar.setAttribute("aria-label", known ? `Time: ${words}` : "Time: nothing yet");
}
