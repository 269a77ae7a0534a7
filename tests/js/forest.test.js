// Where the nodes of a round's tree stand: leaves each in a row of its own, parents between their children, the verifier's own
// word behind the node it follows, and what is folded counted.
import assert from "node:assert/strict";
import { test } from "node:test";

import * as forest from "specviz/core/forest.js";
import * as store from "specviz/core/store.js";

// A lane of one round: `parents` of its nodes, those kept and judged, and the token it adds.
function lane({ parents, path, node, origin, accept = 0.5, strict = 0.5 }) {
  const drafted = parents.map((_, slot) => slot);
  const emitted = [...path, ...(origin ? [parents.length] : [])];
  const column = (value) => node.map(() => value);
  const judged = {
    uniform: node.map((slot) => (path.includes(slot) ? 0.1 : 0.9)),
    accept_prob: column(accept),
    strict_accept_prob: column(strict),
    draft_prob: column(0.5),
    verifier_prob: column(0.25),
    tv: column(0.25),
  };
  const shape = { parents, path, node, chosen: parents.map(() => false), law_prob: parents.map(() => 0.5) };
  const data = { start: 3, drafted, kept: path.length, emitted, origin, judged, slices: [], ...shape };
  const seconds = { draft_seconds: 0.1, verify_seconds: 0.1, seconds: 0.3, clock: 0.3 };
  const told = { rule: "x", name: "x", knobs: {}, lossless: true, scope: "token", draft_length: 4, drafter: "y" };
  const pieces = Object.fromEntries([...drafted, parents.length].map((id) => [id, `t${id}`]));
  const trace = { prompt_tokens: [7, 8, 9], pieces, lanes: [{ ...told, rounds: [{ ...data, ...seconds }] }] };
  return store.open(trace).lanes[0];
}

const round = (given) => lane(given).rounds[0];

const FULL = [-1, -1, -1, 0, 0, 1, 1, 2, 2, 3, 4, 5, 6, 7, 8]; // 3, then 2, then 1

test("every leaf has a row, a parent stands between its children, and no two nodes in one spot", () => {
  const made = round({ parents: FULL, path: [1, 5, 11], node: [0, 1, 5, 11], origin: "bonus" });
  const { nodes, rows, depth, own, root } = forest.laid(made, false);
  assert.deepEqual([nodes.length, rows, depth], [15, 6, 3]);
  assert.equal(new Set(nodes.map((node) => `${node.depth} ${node.row}`)).size, 15);
  nodes.forEach(({ slot, row }) => {
    const behind = nodes.filter((node) => node.parent === slot).map((node) => node.row);
    if (behind.length) assert.equal(row, (Math.min(...behind) + Math.max(...behind)) / 2);
  });
  assert.equal(root, (nodes[0].row + nodes[2].row) / 2);
  assert.equal(own.row, nodes.find(({ slot }) => slot === 11).row); // nothing was refused there
  assert.deepEqual(
    nodes.filter(({ parent }) => parent === -1).map(({ elder }) => elder),
    [-1, 0, 1],
  );
});

test("a word in place of refused candidates stands below them", () => {
  const made = round({ parents: FULL, path: [0], node: [0, 3, 4], origin: "resampled" });
  const { nodes, rows, own } = forest.laid(made, false);
  const refused = nodes.filter(({ parent }) => parent === 0);
  assert.deepEqual(
    refused.map(({ token }) => token.fate),
    ["rejected", "rejected"],
  );
  assert.ok(own.row > Math.max(...refused.map(({ row }) => row)) && rows === 7);
});

test("folded, only what lies on the kept path is followed, and the others say how much they hide", () => {
  const made = round({ parents: FULL, path: [1, 5], node: [0, 1, 5, 11], origin: "resampled" });
  const { nodes } = forest.laid(made, true);
  assert.deepEqual(
    nodes.map(({ slot, hidden }) => [slot, hidden]).sort(([a], [b]) => a - b),
    [
      [0, 4],
      [1, 0],
      [2, 4],
      [5, 0],
      [6, 1],
      [11, 0],
    ],
  );
  assert.ok(forest.tooTall(made, 4) && !forest.tooTall(made, 9));
});

test("a round's places hold their candidates and what was written; a share is left only by a strict test", () => {
  const made = round({ parents: FULL, path: [1, 5], node: [0, 1, 5, 11], origin: "resampled" });
  assert.deepEqual(
    store.places(made).map(({ slots, written }) => [slots, written.id]),
    [
      [[0, 1, 2], 1],
      [[5, 6], 5],
      [[11], 15],
    ],
  );
  assert.match(store.unread(made, made.tokens[2]), /kept first/);
  assert.match(store.unread(made, made.tokens[7]), /behind a candidate/);
  const one = { parents: FULL, path: [1], node: [0, 1], origin: "resampled" };
  const strict = lane(one);
  assert.equal(forest.left(strict, strict.tokens[0]), 0.25);
  const loose = lane({ ...one, accept: 0.8 });
  assert.equal(forest.left(loose, loose.tokens[0]), null);
});
