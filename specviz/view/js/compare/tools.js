// What the files of plots/ draw with, besides parts/plotly.js.
import { wilson } from "specviz/core/estimates.js";
import { named, percent } from "specviz/core/formats.js";
import { done, pickedToken, shown } from "specviz/core/state.js";

/** @param {Lane} lane */
export function upTo(lane) {
  const count = done(lane);
  return lane.tokens.filter((token) => token.round < count);
}

// px right of a plot for what stands there.
/**
 * @param {string[]} words
 * @param {number} least
 */
export const room = (words, least) => Math.max(least, 16 + 6.6 * Math.max(0, ...words.map((word) => word.length)));

/** @typedef {{ token: Token, x: number, y: number, fate?: Fate }} Point of a token in a plot */

export const DOT = 5; // px, of an accepted token

/**
 * @param {Inks} ink
 * @returns {Record<string, Record<string, unknown>>}
 */
const fatesOf = (ink) => ({
  accepted: { symbol: "circle", size: DOT, color: ink.ink3, opacity: 0.45 },
  relaxed: { symbol: "diamond", size: 9, color: ink.amber, opacity: 1 },
  rejected: { symbol: "x", size: 7, color: ink.red, opacity: 1 },
});

export function focusLane() {
  const all = shown().filter(({ lane }) => lane.rule !== "plain");
  const token = pickedToken();
  const lossy = all.filter(({ lane }) => !lane.lossless);
  return (
    (token && lossy.find(({ lane }) => lane.index === token.lane)) ||
    lossy[lossy.length - 1] ||
    all[all.length - 1] ||
    null
  );
}

/**
 * @param {Point[]} found
 * @param {Inks} ink
 * @returns {Series[]}
 */
export function ringed(found, ink) {
  const picked = pickedToken();
  const hit = picked && found.find((point) => point.token === picked);
  return hit
    ? [
        {
          x: [hit.x],
          y: [hit.y],
          mode: "markers",
          cliponaxis: false,
          marker: { symbol: "circle-open", size: 16, color: ink.ink, line: { width: 1.6 } },
          hoverinfo: "skip",
        },
      ]
    : [];
}

// Marks by the hundred cost the browser far more than one path: `moves` takes a point to its piece of the path.
/**
 * @template Spot
 * @param {Spot[]} points
 * @param {(spot: Spot, i: number) => string} moves
 * @param {object} line
 * @param {object} more
 */
export function path(points, moves, line, more = {}) {
  return points.length
    ? [{ type: "path", path: points.map(moves).join(""), xref: "x", yref: "y", layer: "between", line, ...more }]
    : [];
}

/**
 * @template {Point} Spot
 * @param {Spot[]} points
 * @param {Inks} ink
 * @param {(point: Spot) => string} hover
 * @returns {Series[]}
 */
export function byFate(points, ink, hover) {
  return Object.entries(fatesOf(ink)).map(([fate, marker]) => {
    const some = points.filter((point) => (point.fate || point.token.fate) === fate);
    return {
      x: some.map((p) => p.x),
      y: some.map((p) => p.y),
      text: some.map(hover),
      customdata: some.map((p) => [p.token.lane, p.token.key]),
      mode: "markers",
      type: "scatter",
      cliponaxis: false,
      marker,
      hovertemplate: "%{text}<extra></extra>",
      name: fate,
    };
  });
}

// Wilson's intervals of shares, [so many, of how many], as error bars in percent; thin, so that rules can be told apart.
/**
 * @param {[number, number][]} shares
 * @param {string} color
 * @returns {Whiskers}
 */
export function whiskers(shares, color) {
  const ends = shares.map(([some, all]) => [some / all, ...(wilson(some, all) ?? [0, 1])]);
  return {
    ...{ type: "data", symmetric: false, color, thickness: 0.8, width: 3 },
    array: ends.map(([share, , high]) => 100 * (high - share)),
    arrayminus: ends.map(([share, low]) => 100 * (share - low)),
  };
}

// The same in words.
/**
 * @param {number} some
 * @param {number} all
 */
export function likely(some, all) {
  const [low, high] = (wilson(some, all) ?? [0, 1]).map((end) => percent(end, 0));
  return `95 %: ${low} to ${high} %`;
}

/** @param {Token} token */
export const tokenText = (token) => named(token.text).replace(/&/g, "&amp;").replace(/</g, "&lt;").slice(0, 40);
