// The words in the chart: which marks share a label, and where each label stands.
import { stroke } from "specviz/laws/twins.js";
import { svg, width } from "specviz/parts/svg.js";
import * as labels from "specviz/playground/labels.js";
import * as play from "specviz/playground/play.js";
import { state } from "specviz/playground/play.js";
import { knobWords, title } from "specviz/playground/title.js";

/** @typedef {import("specviz/playground/play.js").Row} Row */
/** @typedef {import("specviz/playground/labels.js").Point} Point */
/** @typedef {import("specviz/playground/labels.js").Box} Box */
/** @typedef {Box & { edge: number, ceiling: number }} Frame of the chart, px; `edge`, `ceiling`: as far as words may go */
/** @typedef {(kl: number, acceptance: number) => Point} At */
/** @typedef {{ x: number, y: number, rows: Row[], words: string, strong: boolean, key: string }} Group of marks in one place */
/** @typedef {{ right: Row[], below: Row[] }} Hidden rows, beyond the edges */
/** @typedef {{ "font-size": number, fill?: string, "font-weight"?: number }} Style */

/** @type {Map<string, string>} */
const places = new Map(); // where each label stood last, so that it stays there while bars move

/** @param {Row} one */
const plain = (one) => stroke(one.rule).symbol.startsWith("hexagon"); // a rule without a mark of its own

// Rows that lie on one another share a label.
/**
 * @param {At} at
 * @param {Frame} box
 * @param {number} most
 * @returns {{ found: Group[], hidden: Hidden }}
 */
export function groups(at, box, most) {
  /** @type {Group[]} */
  const found = [];
  /** @type {Hidden} */
  const hidden = { right: [], below: [] };
  [...play.now.rows]
    .sort(
      (a, b) =>
        Number(b.id === state.focus) - Number(a.id === state.focus) ||
        Number(b.rule === play.now.focus.rule) - Number(a.rule === play.now.focus.rule) ||
        Number(plain(a)) - Number(plain(b)),
    )
    .forEach((one) => {
      const [x, y] = at(one.kl, one.acceptance);
      if (x > box.right + 0.5) return hidden.right.push(one);
      if (y > box.bottom + 0.5) return hidden.below.push(one);
      const twin = found.find((other) => Math.hypot(other.x - x, other.y - y) < 4);
      if (twin) twin.rows.push(one);
      else found.push({ x, y, rows: [one], words: "", strong: false, key: "" });
      return null;
    });
  const named = new Set();
  found.forEach((group) => {
    /** @type {string[]} */
    const words = [];
    group.rows.forEach((one) => {
      const full = title(one);
      if (words.length < most)
        words.push(
          named.has(one.rule) && knobWords(one) && one.id !== state.focus
            ? group.rows.length > 1
              ? full
              : knobWords(one)
            : group.rows.length > 2 && one.id !== state.focus
              ? one.rule
              : full,
        );
      named.add(one.rule);
    });
    group.words = words.join(", ") + (group.rows.length > most ? ` +${group.rows.length - most}` : "");
    group.strong = group.rows.some((one) => one.id === state.focus);
    group.key = group.rows.map((one) => one.id).join(" ");
  });
  return { found, hidden };
}

/**
 * @param {string} words
 * @param {number} x
 * @param {number} y
 * @param {Record<string, unknown>} more
 */
export function text(words, x, y, more = {}) {
  return svg(
    "text",
    {
      x,
      y,
      "font-size": 11.5,
      fill: "var(--ink2)",
      stroke: "var(--ground)",
      "stroke-width": 3.5,
      "stroke-linejoin": "round",
      "paint-order": "stroke",
      ...more,
    },
    words,
  );
}

// A thin line from a mark to a label that stands away from it.
/**
 * @param {Box} spot
 * @param {number} x
 * @param {number} y
 * @param {string} color
 */
function leader(spot, x, y, color) {
  const [tx, ty] = labels.nearest(spot, x, y);
  const far = Math.hypot(tx - x, ty - y) || 1;
  return far < 15
    ? null
    : svg("line", {
        x1: x + ((tx - x) / far) * 7,
        y1: y + ((ty - y) / far) * 7,
        x2: tx,
        y2: ty,
        stroke: color,
        "stroke-width": 1,
      });
}

// Words: what the region means, then the rule in focus, the frontier, and the rest.
/**
 * @param {Group[]} found
 * @param {Point[]} curve
 * @param {Point[]} lines
 * @param {Frame} box
 */
export function words(found, curve, lines, box) {
  const out = svg("g");
  const marks = found.map(({ x, y, strong }) => {
    const room = strong ? 10 : 6;
    return { left: x - room, right: x + room, top: y - room, bottom: y + room };
  });
  /** @param {number} x */
  const limit = (x) => {
    let y = curve[0][1];
    for (const point of curve) {
      if (point[0] > x) break;
      y = Math.min(y, point[1]);
    }
    return y;
  };
  const seats = labels.placer({
    marks,
    lines,
    above: limit,
    last: places,
    edge: { left: box.left + 2, right: box.edge - 2, top: box.ceiling, bottom: box.bottom - 1 },
  });
  const phrase = "no rule can be here";
  const spot = region(limit, box, width(phrase, 12) + 6, marks);
  seats.take(spot);
  out.append(text(phrase, spot.left + 3, spot.top + 12, { "font-size": 12, fill: "var(--ink2)" }));
  /**
   * @param {string} key
   * @param {string} shown
   * @param {number} x
   * @param {number} y
   * @param {number} tall
   * @param {number} low
   * @param {Style} style
   * @param {string} color
   */
  const label = (key, shown, x, y, tall, low, style, color) => {
    const seat = seats.find(key, x, y, width(shown, style["font-size"], style["font-weight"]) + 6, tall, low);
    const line = seat && leader(seat, x, y, color);
    if (line) out.append(line);
    if (seat) out.append(text(shown, seat.left + 3, seat.top + tall - 3.5, style));
  };
  const best = () =>
    label(
      "best",
      "best any rule can do",
      ...curve[Math.round((curve.length - 1) * 0.62)],
      16,
      22,
      { "font-size": 12, "font-weight": 600, fill: "var(--amber-ink)" },
      "var(--amber)",
    );
  const ordered = [...found].sort((a, b) => Number(b.strong) - Number(a.strong) || b.rows.length - a.rows.length);
  ordered.forEach((group, i) => {
    if (i === 1) best();
    label(
      group.key,
      group.words,
      group.x,
      group.y,
      15,
      group.y < box.top + 4 ? 6 : 0,
      group.strong ? { "font-size": 11.5, fill: "var(--ink)", "font-weight": 600 } : { "font-size": 11.5 },
      "var(--ink3)",
    );
  });
  if (ordered.length < 2) best();
  return out;
}

// The best place for words inside the hatched region.
/**
 * @param {(x: number) => number} limit
 * @param {Frame} box
 * @param {number} wide
 * @param {Box[]} marks
 */
function region(limit, box, wide, marks) {
  for (let top = box.ceiling + 30; top >= box.ceiling; top -= 4) {
    for (let left = box.left + 12; left < box.left + 120; left += 12) {
      const spot = { left, right: left + wide, top, bottom: top + 17 };
      if (
        spot.bottom < limit(spot.right) - 4 &&
        spot.right < box.right &&
        marks.every((other) => labels.apart(spot, other))
      )
        return spot;
    }
  }
  return { left: box.left + 12, right: box.left + 12 + wide, top: box.ceiling + 1, bottom: box.ceiling + 18 };
}
