// Labels of the inspector's bar over recorded tokens: on the card, apart from each other, in the order of their values.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import * as store from "specviz/core/store.js";
import { labels } from "specviz/compare/abar.js";
import { beside, nudge } from "specviz/parts/nudge.js";

const HERE = new URL("../../", import.meta.url);
const W = 304;

test("labels are nudged, never swapped, and stay on the line", () => {
  assert.deepEqual(nudge([{ at: 50, width: 20 }], 0, 100), [40]);
  assert.deepEqual(nudge([{ at: 99, width: 20 }], 0, 100), [80]);
  assert.deepEqual(
    nudge(
      [
        { at: 50, width: 20 },
        { at: 52, width: 20 },
      ],
      0,
      100,
      10,
    ),
    [26, 56],
  );
  assert.deepEqual(
    nudge(
      [
        { at: 100, width: 30 },
        { at: 98, width: 30 },
      ],
      0,
      100,
      10,
    ),
    [70, 30],
  );
  assert.equal(beside(0, 100, 90, 60), 45);
  assert.equal(beside(0, 100, 50, 60), null);
});

// As wide as letters get in a wide font.
const wide = (text, weight) => text.length * (weight > 600 ? 8.1 : 7.4);

test("over the judged tokens of the recorded runs no label touches another or leaves the card", () => {
  let seen = 0;
  readdirSync(new URL("assets/recorded/", HERE)).forEach((name) => {
    const run = store.open(JSON.parse(readFileSync(new URL(`assets/recorded/${name}`, HERE), "utf8")));
    run.lanes.forEach((lane) =>
      lane.tokens
        .filter((token) => token.judged >= 0)
        .forEach(({ strict, accept, uniform }) => {
          const made = labels({ strict, accept, uniform }, wide);
          made.forEach((one, i) => {
            assert.ok(one.left >= 0 && one.left + one.width <= W + 1e-9, `${one.text} leaves the card`);
            made.slice(i + 1).forEach((other) => {
              if (other.line !== one.line) return;
              const gap = Math.max(other.left - one.left - one.width, one.left - other.left - other.width);
              assert.ok(gap >= 6 - 1e-9, `${one.text} touches ${other.text}`);
            });
          });
          const [first, second] = made.filter((one) => one.text.startsWith("strict") || one.text.startsWith("φ"));
          if (second) assert.equal(first.left <= second.left, strict <= accept, "in the order of their values");
          seen += 1;
        }),
    );
  });
  assert.ok(seen >= 200, `${seen} tokens`);
});
