// One timeline under all lanes: compute seconds from left to right, the playhead, and the player that moves it.
import { calm, el, framed, hit, set } from "specviz/core/dom.js";
import { emit, on } from "specviz/core/events.js";
import { seconds } from "specviz/core/formats.js";
import { done, measured, onDisplay, pick, setTime, shown, state } from "specviz/core/state.js";
import { LEFT, RIGHT, draw, geometry, resized, sizes, slots } from "specviz/compare/track.js";

const FACTORS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]; // of slowness
const PLAY = "M1.5 0 11 6 1.5 12Z";
const PAUSE = "M1.5 0h3v12h-3zM7.5 0h3v12h-3z";
/**
 * @typedef {{
 *   play: HTMLButtonElement, icon: SVGPathElement, speed: HTMLSelectElement, badge: HTMLElement,
 *   canvas: HTMLCanvasElement, track: HTMLElement, status: HTMLElement, now: HTMLElement, total: HTMLElement,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({});
let slow = 1;
/** @type {number | null} */
let chosen = null;
let last = 0;
let ticket = 0;
let held = false; // the playhead, by a pointer

function autoSpeed() {
  const span = state.run ? state.run.span : 1;
  return FACTORS.find((factor) => span * factor >= 9) || 1000;
}

/** @param {number | null} from */
export function play(from = null) {
  if (!state.run || state.live) return;
  if (from !== null) state.time = from;
  if (state.time >= state.run.span) state.time = 0;
  state.playing = true;
  last = performance.now();
  schedule();
  face();
}

export function pause() {
  state.playing = false;
  clearTimeout(ticket);
  face();
  emit("rest");
}

function schedule() {
  if (calm())
    ticket = setTimeout(() => {
      step(1);
      if (state.playing) schedule();
    }, 700);
  else requestAnimationFrame(frame);
}

/** @param {number} now */
function frame(now) {
  if (!state.playing) return;
  const dt = Math.min(0.1, (now - last) / 1000);
  last = now;
  const time = state.time + dt / slow;
  if (time >= onDisplay().span) {
    setTime(Infinity);
    pause();
    announce();
  } else {
    setTime(time);
    requestAnimationFrame(frame);
  }
}

// To the end of the next round (of any lane), or of the one before.
/** @param {number} by */
function step(by) {
  if (!state.run) return;
  const ends = shown()
    .flatMap(({ lane }) => lane.rounds.map((round) => round.to))
    .sort((a, b) => a - b);
  const now = Math.min(state.time, state.run.span);
  const next = by > 0 ? ends.find((time) => time > now + 1e-9) : (ends.filter((time) => time < now - 1e-9).pop() ?? 0);
  if (next === undefined || next >= state.run.span) {
    setTime(Infinity);
    if (state.playing) pause();
  } else setTime(next);
  announce();
}

const announce = (() => {
  let timer = 0;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!state.run) return;
      set(
        parts.status,
        shown()
          .map(({ lane, title }) => {
            const sum = lane.sums[done(lane)] || lane.sums[0];
            return `${title}: round ${sum.rounds}, ${sum.emitted} tokens`;
          })
          .join("; "),
      );
    }, 400);
  };
})();

function face() {
  parts.icon.setAttribute("d", state.playing ? PAUSE : PLAY);
  parts.play.setAttribute("aria-label", state.playing ? "Pause" : "Play");
  parts.play.disabled = state.live || !state.run;
}

function words() {
  if (!state.run) return;
  const span = state.run.span;
  const now = state.live ? span : Math.min(state.time, span);
  const [total, unit] = seconds(span);
  set(
    parts.now,
    unit === "ms" ? (now * 1000).toFixed(total.includes(".") ? 1 : 0) : now.toFixed(total.split(".")[1]?.length ?? 0),
  );
  set(parts.total, ` of ${total} ${unit}`);
  const kind = measured();
  parts.badge.className = `badge ${kind}`;
  set(parts.badge, state.source === "imported" ? "imported" : kind);
  parts.track.setAttribute("aria-valuenow", String(Math.round((now / span) * 1000) || 0));
  parts.track.setAttribute("aria-valuetext", `${parts.now.textContent}${parts.total.textContent}`);
}

/** @param {PointerEvent} event */
function seek(event) {
  const rect = parts.track.getBoundingClientRect();
  const { width, rows, span, x } = geometry(parts.track);
  const left = event.clientX - rect.left;
  const time = Math.max(0, Math.min(1, (left - LEFT) / (width - LEFT - RIGHT))) * span;
  const { row: tall, top } = sizes();
  const row = rows[Math.floor((event.clientY - rect.top - top) / tall)];
  if (event.type === "pointerdown" && row && left > LEFT) {
    const round = row.lane.rounds.find((one) => one.from <= time && time <= one.to);
    const below = event.clientY - rect.top - top - tall * rows.indexOf(row) > sizes().base + 2;
    if (round) {
      const { at } = slots(round, x);
      const near = round.tokens
        .map((token) => ({ token, away: Math.abs(at(token) - left) + (token.cut === below ? 0 : 40) }))
        .sort((one, other) => one.away - other.away)[0];
      if (near && near.away < 9) pick(row.lane.index, near.token.key);
    }
  }
  setTime(time >= span * 0.999 ? Infinity : time);
}

/** @param {KeyboardEvent} event */
function keys(event) {
  if (event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return;
  const busy = hit(event, "input, textarea, select, .menu, .text, [role=tab]");
  if (event.key === " " && (!busy || busy.matches(".text")) && !hit(event, "button")) {
    event.preventDefault();
    (state.playing ? pause : play)();
  } else if (!busy && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
    event.preventDefault();
    if (state.playing) pause();
    step(event.key === "ArrowRight" ? 1 : -1);
  } else if (event.target === parts.track && (event.key === "Home" || event.key === "End")) {
    event.preventDefault();
    setTime(event.key === "Home" ? 0 : Infinity);
  }
}

export function build() {
  parts.play = el("button.play", {
    type: "button",
    "aria-label": "Play",
    title: "Space plays, the arrow keys go a round on or back",
    onclick: () => (state.playing ? pause() : play()),
  });
  parts.play.innerHTML = '<svg viewBox="0 0 12 12" aria-hidden="true"><path/></svg>';
  parts.icon = /** @type {SVGPathElement} */ (parts.play.querySelector("path"));
  parts.speed = el(
    "select",
    {
      "aria-label": "Replay speed",
      onchange: (event) => {
        chosen = Number(event.currentTarget.value);
        slow = chosen;
      },
    },
    FACTORS.map((factor) => el("option", { value: factor }, factor === 1 ? "real time" : `slowed ${factor}×`)),
  );
  parts.badge = el("span.badge.recorded");
  parts.canvas = el("canvas", { "aria-hidden": "true" });
  parts.track = el(
    "div.track",
    {
      role: "slider",
      tabindex: 0,
      "aria-label": "Playhead, seconds of compute",
      "aria-valuemin": 0,
      "aria-valuemax": 1000,
      "aria-valuenow": 0,
    },
    parts.canvas,
  );
  parts.status = el("div.sr", { role: "status", "aria-live": "polite" });
  parts.track.addEventListener("pointerdown", (event) => {
    if (state.live || !state.run) return;
    held = true;
    if (state.playing) pause();
    parts.track.setPointerCapture(event.pointerId);
    seek(event);
  });
  parts.track.addEventListener("pointermove", (event) => {
    if (held) seek(event);
  });
  ["pointerup", "pointercancel"].forEach((name) =>
    parts.track.addEventListener(name, () => {
      held = false;
      announce();
      emit("rest");
    }),
  );
  document.addEventListener("keydown", keys);
  const redraw = framed(() => {
    draw(parts.track, parts.canvas);
    words();
  });
  on("run", () => {
    slow = chosen || autoSpeed();
    parts.speed.value = String(slow);
    face();
  });
  on("run append time pick columns theme", redraw);
  on("ended", () => {
    slow = chosen || autoSpeed();
    parts.speed.value = String(slow);
    face();
    announce();
  });
  on("append", announce);
  new ResizeObserver(redraw).observe(parts.track);
  resized(redraw);
  return el(
    "section.sheet.timeline",
    { "aria-label": "Timeline" },
    el(
      "div.transport",
      null,
      parts.play,
      el("span.clock", null, (parts.now = el("b", null, "0")), (parts.total = el("span"))),
      parts.speed,
      parts.badge,
    ),
    parts.track,
    parts.status,
  );
}

// Whether somebody moves the playhead.
export const dragging = () => held;
