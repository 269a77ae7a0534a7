// Room for the labels of a plot: each near its mark, off the marks, lines and labels that are there already.

/** @typedef {[x: number, y: number]} Point */
/** @typedef {{ left: number, right: number, top: number, bottom: number }} Box */
/** @typedef {Box & { place: string, total: number }} Spot of a label, and what it costs to stand there */

const DISTANCES = [9, 13, 20, 30, 42, 58, 78, 100];
const TURNS = 16;
const NEVER = 400; // a label that would lie on another, or on a mark, is left out

/**
 * @param {number} x
 * @param {number} y
 * @param {Box} box
 */
const inside = (x, y, box) => x > box.left && x < box.right && y > box.top && y < box.bottom;
/**
 * @param {Box} a
 * @param {Box} b
 */
export const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;

// Points along a line, a few pixels apart.
/**
 * @param {Point[]} points
 * @param {number} gap
 * @returns {Point[]}
 */
export function dense(points, gap) {
  /** @type {Point[]} */
  const out = [];
  for (let i = 1; i < points.length; i += 1) {
    const [[ax, ay], [bx, by]] = [points[i - 1], points[i]];
    const count = Math.min(200, Math.max(1, Math.ceil(Math.hypot(bx - ax, by - ay) / gap)));
    for (let k = 0; k < count; k += 1) out.push([ax + ((bx - ax) * k) / count, ay + ((by - ay) * k) / count]);
  }
  return out;
}

// Where a line from (x, y) meets a label.
/**
 * @param {Box} spot
 * @param {number} x
 * @param {number} y
 * @returns {Point}
 */
export const nearest = (spot, x, y) => [
  Math.min(spot.right, Math.max(spot.left, x)),
  Math.min(spot.bottom - 3, Math.max(spot.top + 3, y)),
];

// marks: boxes; lines: points to keep off; edge: the box labels stay in; above(x): labels higher than this cost a
// little; last: a Map that remembers the place of each label, so that it stays there while things move.
/**
 * @param {{ marks: Box[], lines: Point[], edge: Box, above: (x: number) => number, last: Map<string, string> }} given
 */
export function placer({ marks, lines, edge, above, last }) {
  const taken = [...marks];
  const strokes = [...lines];
  /**
   * @param {Box} spot
   * @param {number} x
   * @param {number} y
   */
  const way = (spot, x, y) => dense([[x, y], nearest(spot, x, y)], 5);

  /** @param {Box} spot */
  function cost(spot) {
    if (spot.left < edge.left || spot.right > edge.right || spot.top < edge.top || spot.bottom > edge.bottom)
      return Infinity;
    if (taken.some((other) => !apart(spot, other))) return NEVER;
    const wider = { left: spot.left - 2, right: spot.right + 2, top: spot.top, bottom: spot.bottom };
    return (
      Math.min(60, 7 * strokes.filter(([x, y]) => inside(x, y, wider)).length) + (spot.top < above(spot.left) ? 8 : 0)
    );
  }

  // The cheapest place for a label of (x, y), or null. `low`: how much it would rather stand below.
  /**
   * @param {string} key
   * @param {number} x
   * @param {number} y
   * @param {number} wide
   * @param {number} tall
   * @param {number} low
   * @returns {Spot | null}
   */
  function find(key, x, y, wide, tall, low = 0) {
    /** @type {Spot | null} */
    let best = null;
    for (const distance of DISTANCES) {
      for (let turn = 0; turn < TURNS; turn += 1) {
        const [dx, dy] = [Math.cos((turn / TURNS) * 2 * Math.PI), Math.sin((turn / TURNS) * 2 * Math.PI)];
        const left = x + dx * distance + (dx > 0.3 ? 0 : dx < -0.3 ? -wide : -wide / 2);
        const top = y + dy * distance - tall / 2 + (Math.abs(dx) <= 0.3 ? Math.sign(dy) * (tall / 2 - 4) : 0);
        const spot = { left, top, right: left + wide, bottom: top + tall, place: `${distance} ${turn}` };
        let total =
          distance * 0.55 + (low ? (1 - dy) * low : turn === 0 ? -3 : 0) - (spot.place === last.get(key) ? 9 : 0);
        if (best && total >= best.total) continue;
        total += cost(spot);
        if (best && total >= best.total) continue;
        if (distance > 16)
          total +=
            60 *
            Math.min(
              3,
              way(spot, x, y).filter(
                ([px, py]) => Math.hypot(px - x, py - y) > 12 && taken.some((box) => inside(px, py, box)),
              ).length,
            );
        if (!best || total < best.total) best = { ...spot, total };
      }
    }
    if (!best || best.total >= NEVER) return null;
    last.set(key, best.place);
    taken.push(best);
    strokes.push(...way(best, x, y).slice(1));
    return best;
  }

  /** @param {Box} spot */
  const take = (spot) => taken.push(spot);
  return { find, take };
}
