// Room for labels on one line. Pure.

// The left ends of labels {at, width} between `low` and `high`, `gap` apart and as near to their places as that allows
// (least squares): in the order of their places, which never changes, and on the line as long as they all fit there.
/**
 * @param {{ at: number, width: number }[]} labels
 * @param {number} low
 * @param {number} high
 * @param {number} gap
 */
export function nudge(labels, low, high, gap = 8) {
  const order = labels.map((_, i) => i).sort((a, b) => labels[a].at - labels[b].at || a - b);
  /** @type {number[]} */
  const offsets = [];
  /** @type {{ total: number, count: number }[]} */
  const blocks = []; // neighbours that touch share one shift
  let length = 0;
  order.forEach((i) => {
    const { at, width } = labels[i];
    let block = { total: at - width / 2 - length, count: 1 };
    for (let last = blocks.at(-1); last && last.total / last.count > block.total / block.count; last = blocks.at(-1)) {
      blocks.pop();
      block = { total: last.total + block.total, count: last.count + block.count };
    }
    blocks.push(block);
    offsets.push(length);
    length += width + gap;
  });
  const last = Math.max(low, high - (length - gap));
  const starts = blocks.flatMap(({ total, count }) => Array(count).fill(Math.min(last, Math.max(low, total / count))));
  /** @type {number[]} */
  const lefts = [];
  order.forEach((i, k) => {
    lefts[i] = starts[k] + offsets[k];
  });
  return lefts;
}

// The middle of a label `width` wide between `low` and `high` that keeps off a line at `x`; null without room.
/**
 * @param {number} low
 * @param {number} high
 * @param {number} x
 * @param {number} width
 * @param {number} gap
 */
export function beside(low, high, x, width, gap = 6) {
  const edge = Math.min(high, Math.max(low, x));
  const [from, to] = edge - low > high - edge ? [low, edge] : [edge, high];
  return to - from >= width + 2 * gap ? (from + to) / 2 : null;
}
