// The axis of the bars: where a probability stands, and the lines behind them.
import { svg } from "specviz/parts/svg.js";

export const HEIGHT = 372; // px, of the figure
export const TOP = 26;
export const BASE = HEIGHT - 58;
export const LEFT = 40;
const TOPS = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1];
let ceiling = 1; // the probability at the top

// Makes room for a probability.
/** @param {number} most */
export function fit(most) {
  ceiling = TOPS.find((top) => top >= most * 1.02) || 1;
}

/** @param {number} value */
export const y = (value) => BASE - (BASE - TOP) * Math.min(1.04, value / ceiling);

// The probability at a height, in steps that a hand can take.
/** @param {number} height */
export function at(height) {
  const step = ceiling <= 0.2 ? 0.002 : 0.005;
  const value = ((BASE - height) / (BASE - TOP)) * ceiling;
  return Math.min(1, Math.max(0, Math.round(value / step) * step));
}

// The lines and their numbers, `wide` px.
/** @param {number} wide */
export function ruling(wide) {
  const step = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25].find((size) => ceiling / size <= 6) || 0.25;
  const ticks = Array.from({ length: Math.floor(ceiling / step + 1e-9) + 1 }, (_, i) => i * step);
  return ticks.map((tick) =>
    svg(
      "g",
      null,
      svg("line", { x1: LEFT, x2: wide, y1: y(tick), y2: y(tick), stroke: `var(--${tick ? "grid" : "line2"})` }),
      svg(
        "text",
        { x: LEFT - 10, y: y(tick) + 4, "text-anchor": "end", "font-size": 11, fill: "var(--ink3)" },
        String(+tick.toFixed(3)),
      ),
    ),
  );
}
