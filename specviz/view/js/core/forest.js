// A round's draft as a tree: which nodes are shown, and where. Pure.
//   nodes   {token, slot, depth, row, parent, elder, hidden}, in the order of their rows; `elder`: the slot of the candidate judged
//           before it, -1 without one; `hidden`: how many tokens behind it are folded
//   own     {token, row}: the verifier's own word, or null
//   rows, depth   how many rows and places there are

/**
 * @param {Round} round
 * @param {boolean} folded
 */
export function laid(round, folded) {
  const { parents, path, depths } = round.shape;
  /** @type {number[][]} */
  const behind = [[], ...parents.map(() => /** @type {number[]} */ ([]))]; // by the parent's slot + 1
  parents.forEach((parent, slot) => behind[parent + 1].push(slot));
  const end = path.length ? path[path.length - 1] : -1;
  const own = round.tokens.find((token) => token.slot === parents.length) ?? null;
  /** @type {(slot: number) => number} */
  const count = (slot) => behind[slot + 1].reduce((total, child) => total + 1 + count(child), 0);
  /** @type {TreeNode[]} */
  const nodes = [];
  let rows = 0;
  let ownRow = 0;
  // Gives everything behind a node its row; returns the node's own.
  /** @type {(slot: number) => number} */
  const place = (slot) => {
    const open = !folded || slot < 0 || path.includes(slot);
    /** @type {number[]} */
    const taken = [];
    if (open)
      behind[slot + 1].forEach((child, i) => {
        const row = place(child);
        taken.push(row);
        nodes.push({
          token: round.tokens[child],
          slot: child,
          depth: depths[child],
          row,
          parent: slot,
          elder: i ? behind[slot + 1][i - 1] : -1,
          hidden: folded && !path.includes(child) ? count(child) : 0,
        });
      });
    if (slot === end && own) {
      // In the row of the node it follows, unless that has candidates of its own, which were all refused.
      ownRow = taken.length ? rows++ : -1;
      if (taken.length) taken.push(ownRow);
    }
    const row = taken.length ? (taken[0] + taken[taken.length - 1]) / 2 : rows++;
    if (slot === end && ownRow < 0) ownRow = row;
    return row;
  };
  const root = place(-1);
  nodes.sort((a, b) => a.depth - b.depth || a.row - b.row);
  return {
    nodes,
    root,
    rows,
    depth: Math.max(0, ...nodes.map(({ depth }) => depth + 1)),
    own: own && { token: own, row: ownRow },
  };
}

// Whether it has more than `most` rows unless it is folded.
/**
 * @param {Round} round
 * @param {number} most
 */
export const tooTall = (round, most) => laid(round, false).rows > most;

// The share of the verifier's mass that a refused candidate leaves to the next, where a lane's test is the strict one throughout:
// what the draft does not cover. null where it is not, since a trace does not hold what another test leaves.
/**
 * @param {Lane} lane
 * @param {Token} token
 */
export function left(lane, token) {
  const judged = lane.tokens.filter((one) => one.judged >= 0);
  const strict = lane.scope === "token" && judged.every((one) => Math.abs(one.accept - one.strict) < 1e-6);
  const apart = Number(lane.rounds[token.round].given.judged.tv?.[token.judged]);
  return strict && Number.isFinite(apart) ? apart : null;
}

// Whether a node was picked, and not drawn from a distribution.
/**
 * @param {Round} round
 * @param {Token} token
 */
export const chosen = ({ given }, token) =>
  given.chosen?.[token.slot] ?? (token.judged >= 0 && given.judged.draft_max?.[token.judged] === 1);

// The probability of a node's token under its own law, where the trace holds it.
/**
 * @param {Round} round
 * @param {Token} token
 */
export const lawOf = ({ given }, token) => given.law_prob?.[token.slot] ?? (token.judged >= 0 ? token.draft : null);
