// One timeline under all lanes: compute seconds from left to right, the playhead, and the player that moves it.
import { calm, el, framed, hit, inks, set } from "specviz/core/dom.js";
import { emit, on } from "specviz/core/events.js";
import { seconds } from "specviz/core/formats.js";
import { done, measured, onDisplay, pick, pickedToken, setTime, shown, state } from "specviz/core/state.js";

// px: the height of a lane, the space above them, and where a lane's baseline is; less of each in a low window
const WIDE = { row: 28, top: 20, base: 17, below: 18 };
const TIGHT = { row: 23, top: 14, base: 15, below: 16 };
const LOW = { row: 19, top: 12, base: 13, below: 0 };
const low = matchMedia("(max-height: 760px), (max-width: 860px)");
const tight = matchMedia("(max-height: 980px)");
/** @typedef {CanvasRenderingContext2D} Pen */
const sizes = () => (low.matches ? LOW : tight.matches ? TIGHT : WIDE);
const LEFT = 74;
const RIGHT = 14;
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

function geometry() {
  const width = parts.track.clientWidth || 700;
  const rows = shown();
  const span = (state.run && state.run.span) || 1;
  /** @param {number} time */
  const x = (time) => LEFT + (Math.min(time, span) / span) * (width - LEFT - RIGHT);
  const { row, top, below } = sizes();
  return { width, rows, span, x, height: top + rows.length * row + below };
}

// Where the tokens of a round stand: each at its place; the refused ones hang under the one that was written there.
/**
 * @param {Round} round
 * @param {(time: number) => number} x
 */
function slots(round, x) {
  const left = x(round.from);
  const count = round.shape.depth + 1;
  const cell = (x(round.to) - left) / count;
  return {
    cell,
    wide: Math.max(1, Math.min(7, cell - (cell > 3 ? 1.5 : 0.4))),
    /** @param {Token} token */
    at: (token) => left + cell * (token.position - round.start + 0.5),
  };
}

function draw() {
  const { canvas } = parts;
  const { width, rows, span, x, height } = geometry();
  const ratio = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  const pen = /** @type {Pen} */ (canvas.getContext("2d"));
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  if (!state.run) return;
  const color = inks();
  const now = state.live ? span : Math.min(state.time, span);
  ticks(pen, color, x, span, height, width);
  const picked = pickedToken();
  const { row: tall, top, base: from } = sizes();
  rows.forEach(({ lane, title }, row) => {
    const base = top + row * tall + from;
    pen.globalAlpha = 1;
    pen.fillStyle = color.ink;
    pen.font = "500 12px " + color.sans;
    pen.textBaseline = "middle";
    pen.fillText(title.length > 10 ? `${title.slice(0, 9)}…` : title, 0, base - 2);
    const end = lane.rounds.length ? x(lane.rounds[lane.rounds.length - 1].to) : LEFT;
    pen.fillStyle = color.line2;
    pen.fillRect(LEFT, base, Math.max(0, end - LEFT), 1);
    lane.rounds.forEach((round) => {
      const { at, wide } = slots(round, x);
      pen.globalAlpha = round.to <= now + 1e-12 ? 1 : 0.28;
      if (wide > 3) {
        pen.fillStyle = color.line2;
        pen.fillRect(x(round.to) - 0.5, base - 3, 1, 6);
      }
      round.tokens.forEach((token) => bar(pen, color, token, at(token), base, wide));
      if (picked && picked.lane === lane.index && picked.round === round.index)
        ring(pen, color, picked, at(picked), base, wide);
    });
    pen.globalAlpha = 1;
    if (lane.finished && end < width - RIGHT - 44) {
      pen.fillStyle = color.ink3;
      pen.font = "400 11px " + color.sans;
      pen.fillText(lane.finished === "stopped" ? "stopped" : "done", end + 8, base);
    }
  });
  head(pen, color, x(now), height);
}

/**
 * @param {Pen} pen
 * @param {Inks} color
 * @param {Token} token
 * @param {number} middle
 * @param {number} base
 * @param {number} wide
 */
function bar(pen, color, token, middle, base, wide) {
  const left = middle - wide / 2;
  /**
   * @param {number} tall
   * @param {string} fill
   */
  const up = (tall, fill) => {
    pen.fillStyle = fill;
    pen.fillRect(left, base - tall, wide, tall);
  };
  switch (token.fate) {
    case "accepted":
      return up(7, color.mute);
    case "plain":
      return up(7, color.mute);
    case "relaxed":
      return up(14, color.amber);
    case "resampled":
      return up(10, color.blue);
    case "bonus":
      if (wide < 3) return up(10, color.blue);
      pen.strokeStyle = color.blue;
      pen.lineWidth = 1.2;
      return pen.strokeRect(left + 0.6, base - 9.4, wide - 1.2, 8.8);
    case "rejected":
      pen.fillStyle = color.red;
      return pen.fillRect(left, base + 1, wide, 7);
    default:
      pen.fillStyle = color.mute;
      return pen.fillRect(left, base + 4, Math.max(1, wide - 1), 1.5);
  }
}

/**
 * @param {Pen} pen
 * @param {Inks} color
 * @param {Token} token
 * @param {number} middle
 * @param {number} base
 * @param {number} wide
 */
function ring(pen, color, token, middle, base, wide) {
  pen.globalAlpha = 1;
  pen.strokeStyle = color.ink;
  pen.lineWidth = 1.5;
  const top = token.fate === "rejected" || token.fate === "discarded" ? base - 1 : base - 17;
  pen.beginPath();
  pen.roundRect(middle - wide / 2 - 3, top, wide + 6, token.cut ? 12 : 19, 3);
  pen.stroke();
}

/**
 * @param {Pen} pen
 * @param {Inks} color
 * @param {(time: number) => number} x
 * @param {number} span
 * @param {number} height
 * @param {number} width
 */
function ticks(pen, color, x, span, height, width) {
  const { top, below } = sizes();
  const raw = span / Math.max(2, Math.min(8, (width - LEFT) / 110));
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= raw) ?? 10);
  const milli = span < 1;
  pen.font = "400 11px " + color.sans;
  pen.textBaseline = "alphabetic";
  for (let time = 0; time <= span * 1.0001; time += step) {
    pen.fillStyle = color.grid;
    pen.fillRect(x(time), top - 6, 1, height - top - (below ? 12 : 0));
    if (!below) continue;
    const value = milli ? time * 1000 : time;
    const label = `${+value.toPrecision(4)}${time === 0 ? (milli ? " ms" : " s") : ""}`;
    pen.fillStyle = color.ink3;
    pen.fillText(
      label,
      Math.min(x(time) - (time === 0 ? 0 : pen.measureText(label).width / 2), width - pen.measureText(label).width),
      height - 3,
    );
  }
}

/**
 * @param {Pen} pen
 * @param {Inks} color
 * @param {number} at
 * @param {number} height
 */
function head(pen, color, at, height) {
  pen.globalAlpha = 1;
  pen.fillStyle = color.ink;
  pen.fillRect(at - 0.75, 10, 1.5, height - 10 - sizes().below);
  pen.beginPath();
  pen.roundRect(at - 5, 2, 10, 7, 2);
  pen.moveTo(at - 5, 8);
  pen.lineTo(at + 5, 8);
  pen.lineTo(at, 14);
  pen.closePath();
  pen.fill();
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
  const { width, rows, span, x } = geometry();
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
    draw();
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
  [low, tight].forEach((query) => query.addEventListener("change", redraw));
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
