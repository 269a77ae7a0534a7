// Room for the words beside the points of a sweep.

/**
 * A point as it is drawn, px: its place, the ends of its bars, and the words beside it.
 * @typedef {{
 *   at: [number, number], x: number, y: number, end: boolean, top: number, bottom: number, left: number, right: number,
 *   words: string,
 * }} Mark
 */
/** @typedef {{ x0: number, x1: number, y0: number, y1: number }} Sides */
/** @typedef {Sides & { side: number, dy: number, cost: number }} Box */

// A place for the words of each mark, where they cover as little as can be of marks, bars and lines. Those that find
// none clear of other words are left out: the table has them all.
/**
 * @param {Mark[]} marks
 * @param {[Mark, Mark][]} ways
 * @param {number} wide
 * @param {number} tall
 * @param {number} over how far words may stand out on the right
 */
export function placed(marks, ways, wide, tall, over) {
  /** @type {Box[]} */
  const boxes = [];
  const steps = ways.flatMap(([from, to]) =>
    Array.from({ length: 15 }, (_, i) => [from.x + ((to.x - from.x) * i) / 14, from.y + ((to.y - from.y) * i) / 14]),
  );
  /**
   * @param {Sides} one
   * @param {Sides} other
   */
  const hits = (one, other) => one.x0 < other.x1 && other.x0 < one.x1 && one.y0 < other.y1 && other.y0 < one.y1;
  return marks.flatMap((mark) => {
    const size = 6.4 * mark.words.replace(/<[^>]*>/g, "").length + 4;
    const spots = [
      [1, -9],
      [1, 9],
      [-1, 9],
      [-1, -9],
      [1, -20],
      [-1, 20],
      [1, 20],
      [-1, -20],
      [1, -33],
      [-1, 33],
    ].map(([side, dy], order) => {
      const x0 = side > 0 ? mark.x + 8 : mark.x - 8 - size;
      const box = { x0, x1: x0 + size, y0: mark.y + dy - 8, y1: mark.y + dy + 8 };
      const cost =
        order +
        (box.x0 < 0 || box.x1 > wide + over || box.y0 < 0 || box.y1 > tall ? 200 : 0) +
        60 * boxes.filter((other) => hits(box, other)).length +
        40 *
          marks.filter((other) => hits(box, { x0: other.x - 6, x1: other.x + 6, y0: other.y - 6, y1: other.y + 6 }))
            .length +
        4 * steps.filter(([x, y]) => x > box.x0 && x < box.x1 && y > box.y0 && y < box.y1).length +
        24 *
          marks.filter((other) => hits(box, { x0: other.x - 1, x1: other.x + 1, y0: other.top, y1: other.bottom }))
            .length +
        10 *
          marks.filter((other) => hits(box, { x0: other.left, x1: other.right, y0: other.y - 1, y1: other.y + 1 }))
            .length;
      return { ...box, side, dy, cost };
    });
    const best = spots.reduce((one, other) => (other.cost < one.cost ? other : one));
    if (boxes.some((other) => hits(best, other))) return [];
    boxes.push(best);
    return [{ ...mark, side: best.side, dy: best.dy }];
  });
}
