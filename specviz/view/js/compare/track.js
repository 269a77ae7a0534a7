// The track of the timeline: what each round of each lane did, over compute seconds, on a canvas.
import { inks } from "specviz/core/dom.js";
import { pickedToken, shown, state } from "specviz/core/state.js";

// px: the height of a lane, the space above them, and where a lane's baseline is; less of each in a low window
const WIDE = { row: 28, top: 20, base: 17, below: 18 };
const TIGHT = { row: 23, top: 14, base: 15, below: 16 };
const LOW = { row: 19, top: 12, base: 13, below: 0 };
const low = matchMedia("(max-height: 760px), (max-width: 860px)");
const tight = matchMedia("(max-height: 980px)");
/** @typedef {CanvasRenderingContext2D} Pen */
export const sizes = () => (low.matches ? LOW : tight.matches ? TIGHT : WIDE);
export const LEFT = 74;
export const RIGHT = 14;
// Calls when the window has become lower or higher than the sizes are for.
/** @param {() => void} changed */
export function resized(changed) {
  [low, tight].forEach((query) => query.addEventListener("change", changed));
}

// Where things stand in a track: `x` of a time, and the lanes from above.
/** @param {HTMLElement} track */
export function geometry(track) {
  const width = track.clientWidth || 700;
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
export function slots(round, x) {
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

// Draws the run on display, as it stands at the playhead.
/**
 * @param {HTMLElement} track
 * @param {HTMLCanvasElement} canvas in it
 */
export function draw(track, canvas) {
  const { width, rows, span, x, height } = geometry(track);
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
