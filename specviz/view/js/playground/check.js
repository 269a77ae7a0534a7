// One rule from the inside: target, residual and output law of the drafted token, and rounds played to check them.
import { calm, el, set } from "specviz/core/dom.js";
import { named, nats, percent, prob } from "specviz/core/formats.js";
import * as laws from "specviz/laws/laws.js";
import { heads } from "specviz/parts/heads.js";
import { put, svg } from "specviz/parts/svg.js";
import * as play from "specviz/playground/play.js";
import { state } from "specviz/playground/play.js";
import * as rounds from "specviz/playground/rounds.js";
import { title } from "specviz/playground/title.js";

/** @typedef {ReturnType<typeof laws.sampler>} Sampler */

const ROUNDS = 20000;
/**
 * @typedef {{
 *   rule: HTMLElement, words: HTMLElement, phi: HTMLElement, strict: HTMLElement, tick: HTMLElement,
 *   zero: HTMLElement, one: HTMLElement, body: HTMLElement, spent: HTMLElement, seed: HTMLInputElement,
 *   step: HTMLButtonElement, button: HTMLButtonElement, verdict: HTMLElement, error: HTMLElement,
 *   rows: HTMLElement, funnel: SVGSVGElement, result: HTMLElement,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({});
let going = 0; // animation frame
/** @type {{ sampler: Sampler, trail: [number, number][], of: string } | null} */
let drawn = null; // {sampler, trail, of}: what was drawn, and for which numbers
/** @type {{ sampler: Sampler, of: string } | null} */
let slow = null; // {sampler, of}: the same of the rounds that are played in sight

/**
 * @param {number} p
 * @param {number} rounds
 */
const errorOf = (p, rounds) => Math.sqrt((p * (1 - p)) / rounds);

// How many standard errors a share drawn lies from the exact chance.
/**
 * @param {number} share
 * @param {number} exact
 * @param {number} rounds
 */
function off(share, exact, rounds) {
  const p = Math.min(1, Math.max(0, exact));
  const error = p < 1e-12 || p > 1 - 1e-12 ? 0 : errorOf(p, rounds);
  return error ? (share - p) / error : Math.abs(share - p) < 1e-9 ? 0 : Infinity;
}

// Standard errors with a sign, unless they come to nothing.
/** @param {number} errors */
function apart(errors) {
  if (errors === Infinity) return "impossible";
  const size = Math.abs(errors).toFixed(1);
  return Number(size) === 0 ? "0" : `${errors < 0 ? "−" : "+"}${size}`;
}

export function render() {
  const { focus, strict } = play.now;
  const n = state.token;
  const name = () => el("bdi.tok", null, named(state.names[n]));
  const never = state.draft[n] <= 0;
  set(parts.rule, title(focus));
  parts.words.replaceChildren(
    ...(never
      ? ["The draft never says ", name(), ", so the rule never judges it."]
      : [
          "When ",
          name(),
          " was drafted it is kept with φ = ",
          el("b", null, prob(focus.accept[n])),
          `, by a strict check with ${prob(strict[n])}. `,
          focus.accept[n] < 1
            ? "If it is refused, the residual writes the word."
            : "It is never refused, so its residual is not used.",
        ]),
  );
  parts.phi.style.width = `${100 * (never ? 0 : focus.accept[n])}%`;
  parts.strict.style.left = `${100 * strict[n]}%`;
  parts.tick.style.left = `${100 * Math.min(0.94, Math.max(0.06, strict[n]))}%`;
  [parts.zero.hidden, parts.one.hidden] = [strict[n] < 0.12, strict[n] > 0.88];
  const target = focus.target ? focus.target(n) : null;
  const rest = focus.residual(n);
  const unused = never || focus.accept[n] >= 1 ? "unused" : "";
  const most = Math.max(...state.draft, ...state.verifier, ...(target || []), ...rest, ...focus.law);
  /**
   * @param {number | null} p
   * @param {string} look
   */
  const value = (p, look) =>
    el(
      "td",
      { class: look },
      p === null ? "–" : prob(p),
      p === null ? null : el(p > 0 ? "span.bar" : "span.bar.zero", { style: `width:${(96 * p) / most}%` }),
    );
  parts.body.replaceChildren(
    ...state.names.map((token, i) =>
      el(
        "tr",
        { class: i === n ? "here" : null },
        el("th", { scope: "row" }, el("bdi", null, named(token))),
        value(state.draft[i], ""),
        value(state.verifier[i], ""),
        value(target ? target[i] : null, "amber"),
        value(rest[i], `blue ${unused}`),
        value(focus.law[i], ""),
      ),
    ),
  );
  set(
    parts.spent,
    target
      ? `This one target costs ${nats(laws.kl(target, state.verifier))} nats; what is really written, over ` +
          `all tokens that may be drafted, ${nats(focus.kl)}.`
      : `What is really written strays by ${nats(focus.kl)} nats.`,
  );
  if (drawn && drawn.of !== fingerprint()) {
    halt();
    drawn = null;
  }
  if (slow && !slow.of.startsWith(fingerprint())) {
    slow = null;
    rounds.forget();
  } else rounds.render();
  results();
}

// The numbers a check was made for: another rule, knob or bar makes it stale.
function fingerprint() {
  const { focus } = play.now;
  return JSON.stringify([focus.rule, focus.knobs, state.draft, state.verifier]);
}

// The seed as it stands there; null, with a sentence, where it is none.
function seeded() {
  const text = parts.seed.value.trim();
  const seed = Number(text);
  const fine = text !== "" && Number.isInteger(seed) && seed >= 0 && seed <= 2 ** 32 - 1;
  set(parts.error, fine ? "" : "A seed is a whole number from 0 to 4294967295.");
  return fine ? seed : null;
}

// What plays rounds in sight: it goes on as long as rule, numbers and seed are the same.
function sampler() {
  const seed = seeded();
  if (seed === null) return null;
  const of = `${fingerprint()} ${seed}`;
  if (slow?.of !== of) {
    rounds.forget();
    slow = { sampler: laws.sampler(play.now.focus, state.draft, seed), of };
  }
  return slow.sampler;
}

// One step of a round; then the next round.
function step() {
  const found = sampler();
  if (found) rounds.forward(found);
  labels();
}

function ten() {
  const found = sampler();
  if (found) rounds.several(found, 10, labels);
  labels();
}

function labels() {
  set(parts.step, rounds.underWay() ? "Go on" : "Draw 1");
  set(parts.button, going ? "Stop" : `Draw ${ROUNDS.toLocaleString("en")}`);
}

function start() {
  if (going) {
    halt();
    return results();
  }
  const seed = seeded();
  if (seed === null) return null;
  drawn = { sampler: laws.sampler(play.now.focus, state.draft, seed), trail: [], of: fingerprint() };
  going = requestAnimationFrame(frame);
  return results();
}

function frame() {
  if (!drawn) return;
  const { sampler, trail } = drawn;
  const until = performance.now() + 6;
  while (sampler.rounds < ROUNDS && performance.now() < until && sampler.rounds < (trail.at(-1)?.[0] || 0) * 1.12 + 40)
    sampler.play(Math.min(20, ROUNDS - sampler.rounds));
  trail.push([sampler.rounds, sampler.kept / sampler.rounds]);
  going = sampler.rounds < ROUNDS ? requestAnimationFrame(frame) : 0;
  if (!going || !calm() || trail.length % 20 === 0) results();
}

function halt() {
  cancelAnimationFrame(going);
  going = 0;
}

function results() {
  labels();
  parts.result.hidden = !drawn;
  if (!drawn)
    return set(
      parts.verdict,
      `Draw ${ROUNDS.toLocaleString("en")} compares what a decoder would write with the exact numbers.`,
    );
  const { rounds: played, kept, written } = drawn.sampler;
  if (!played) return null;
  const { focus } = play.now;
  const rows = [
    { name: "kept", share: kept / played, exact: focus.acceptance },
    ...written.map((count, i) => ({ name: state.names[i], share: count / played, exact: Math.min(1, focus.law[i]) })),
  ].map((one) => ({ ...one, off: off(one.share, one.exact, played) }));
  parts.rows.replaceChildren(
    ...rows.map((one, i) =>
      el(
        "tr",
        null,
        el("th", { scope: "row" }, i ? el("bdi", null, named(one.name)) : "acceptance"),
        el("td", null, percent(one.exact, 2)),
        el("td", null, percent(one.share, 2)),
        el("td", null, percent(errorOf(one.exact, played), 2)),
        el("td", null, apart(one.off)),
      ),
    ),
  );
  const worst = Math.max(...rows.map((one) => Math.abs(one.off)));
  const odds = Math.round(1 / (rows.length * 6.33e-5));
  set(
    parts.verdict,
    `${played.toLocaleString("en")} rounds, furthest off by ` +
      `${worst === Infinity ? "more than chance allows" : `${worst.toFixed(1)} standard errors`}. ` +
      `${worst <= 4 ? "Drawn and exact agree." : "Drawn and exact disagree."} If all is right, one of these ` +
      `${rows.length} numbers lies beyond 4 in about 1 check of ${odds.toLocaleString("en")}.`,
  );
  funnel(drawn.trail, focus.acceptance);
  return null;
}

// The acceptance drawn so far, inside the band of two standard errors around the exact one.
/**
 * @param {[number, number][]} trail
 * @param {number} exact
 */
function funnel(trail, exact) {
  const [wide, tall, left] = [Math.max(240, parts.funnel.parentElement?.clientWidth ?? 0), 104, 54];
  const first = 40;
  const reach = Math.max(0.02, 3 * errorOf(exact, first));
  /** @param {number} count */
  const x = (count) => left + (Math.log(Math.max(first, count) / first) / Math.log(ROUNDS / first)) * (wide - left - 8);
  /** @param {number} value */
  const y = (value) => 44 - Math.max(-1, Math.min(1, (value - exact) / reach)) * 36;
  const grid = Array.from({ length: 41 }, (_, i) => first * (ROUNDS / first) ** (i / 40));
  /** @param {number} sign */
  const side = (sign) =>
    grid.map((count) => `${x(count).toFixed(1)},${y(exact + sign * 2 * errorOf(exact, count)).toFixed(1)}`);
  put(parts.funnel, {
    width: wide,
    height: tall,
    viewBox: `0 0 ${wide} ${tall}`,
    "aria-label": `Acceptance drawn so far against the exact ${percent(exact, 2)} %`,
  });
  /**
   * @param {string} words
   * @param {number} at
   * @param {string} anchor
   * @param {Record<string, unknown>} extra
   */
  const label = (words, at, anchor, extra = {}) =>
    svg("text", { x: at, y: 100, "font-size": 11, fill: "var(--ink3)", "text-anchor": anchor, ...extra }, words);
  parts.funnel.replaceChildren(
    svg("polygon", { points: [...side(1), ...side(-1).reverse()].join(" "), fill: "var(--grid)" }),
    svg("line", {
      x1: left,
      x2: wide - 8,
      y1: y(exact),
      y2: y(exact),
      stroke: "var(--ink3)",
      "stroke-width": 1,
      "stroke-dasharray": "3 3",
    }),
    svg("polyline", {
      points: trail.map(([count, share]) => `${x(count).toFixed(1)},${y(share).toFixed(1)}`).join(" "),
      fill: "none",
      stroke: "var(--ink)",
      "stroke-width": 1.6,
      "stroke-linejoin": "round",
    }),
    label(`${percent(exact, 1)} %`, left - 8, "end", { y: 48 }),
    label("40", left, "start"),
    label("1,000", x(1000), "middle"),
    label(`${ROUNDS.toLocaleString("en")} rounds`, wide - 8, "end"),
  );
}

export function build() {
  parts.rule = el("span");
  parts.words = el("p.caption.tall");
  parts.phi = el("i.fill");
  parts.strict = el("i.tick");
  parts.tick = el("span.at", null, "strict");
  parts.zero = el("span", null, "0");
  parts.one = el("span.end", null, "1");
  parts.body = el("tbody");
  parts.spent = el("p.caption");
  parts.seed = el("input", {
    type: "text",
    inputmode: "numeric",
    value: "1",
    "aria-label": "Seed of the check",
    autocomplete: "off",
  });
  /**
   * @param {() => void} onclick
   * @param {string} words
   */
  const outlined = (onclick, words = "") => el("button.plainbutton.outlined", { type: "button", onclick }, words);
  [parts.step, parts.button] = [outlined(step), outlined(start)];
  parts.verdict = el("p.caption", { role: "status" });
  parts.error = el("p.error", { role: "alert" });
  parts.rows = el("tbody");
  parts.funnel = svg("svg", { class: "funnel", role: "img" });
  parts.result = el(
    "div",
    { hidden: true },
    parts.funnel,
    el("table.drawn", null, heads("", "exact, %", "drawn, %", "± 1 s.e.", "off, s.e."), parts.rows),
  );
  return [
    el(
      "section.plot.inside",
      { "aria-label": "Inside the rule in focus" },
      el("h3", null, "Inside ", parts.rule),
      parts.words,
      el("div.abox", { "aria-hidden": "true" }, parts.phi, parts.strict, parts.zero, parts.tick, parts.one),
      el("table.dists", null, heads("token", "draft", "verifier", "target", "residual", "output law"), parts.body),
      parts.spent,
    ),
    el(
      "section.plot.check",
      { "aria-label": "Check by drawing" },
      el("h3", null, "Don’t believe it? Draw."),
      el(
        "div.undertools",
        null,
        parts.step,
        outlined(ten, "Draw 10"),
        parts.button,
        el("label.field", null, "seed ", parts.seed),
      ),
      parts.error,
      rounds.build(),
      parts.verdict,
      parts.result,
    ),
  ];
}

// Whether a check is being played, and what it has come to.
export const running = () => Boolean(going);
export const result = () =>
  drawn && { rounds: drawn.sampler.rounds, kept: drawn.sampler.kept, written: [...drawn.sampler.written] };
