import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { specviz } from "./pure.js";

const { boot, codes, links } = specviz;
const KNOB = { name: "delta", default: 1 };
const ASKED = {
  v: 1,
  prompt: "“Grüße”, 日本",
  pair: null,
  style: "chat",
  system: null,
  temperature: 0.5,
  top_k: 0,
  top_p: 1,
  draft_length: 4,
  max_new_tokens: 20,
  seed: 3,
  drafter: { name: "model", knobs: {} },
  lanes: [
    { rule: null, knobs: {} },
    { rule: "cactus", knobs: { delta: 0.25, unknown: 1 } },
  ],
  at: 0.5,
  pick: [1, 7],
};
const link = (change) => `#run=${codes.encode({ ...ASKED, ...change })}`;

beforeEach(() => {
  Object.assign(boot, {
    rules: { plain: { knobs: [] }, cactus: { knobs: [KNOB] } },
    drafters: { model: { knobs: [] } },
    pairs: [{ name: "small" }],
  });
});

test("a link says again what it was made of, and knobs that are not known are left out", () => {
  const { form, columns, at, pick, continued } = links.read(link());
  assert.equal(form.prompt, ASKED.prompt);
  assert.equal(form.temperature, 0.5);
  assert.equal(form.pair, "small"); // a link from before there were several
  assert.deepEqual(
    columns.map(({ rule, knobs }) => [rule, knobs]),
    [
      ["plain", {}],
      ["cactus", { delta: 0.25 }],
    ],
  );
  assert.deepEqual([at, pick, continued], [0.5, [1, 7], null]);
  assert.equal(links.read("#play=abc"), null);
});

test("what is no link gets a sentence", () => {
  assert.throws(() => links.read("#run=%%%"), /damaged/);
  assert.throws(() => links.read(link({ v: 2 })), /another version/);
  assert.throws(() => links.read(link({ lanes: [] })), /another version/);
  assert.throws(() => links.read(link({ lanes: Array(9).fill({ rule: null }) })), /another version/);
  assert.throws(() => links.read(link({ at: 2 })), /damaged/);
  assert.throws(() => links.read(link({ continued: { given: "x" } })), /damaged/);
  assert.throws(() => links.read(link({ lanes: [{ rule: "constructor" }] })), /a rule that does not exist/);
  assert.throws(() => links.read(link({ drafter: { name: "toString" } })), /a drafter that does not exist/);
});

test("a recorded run is taken for a link only if it is what the link asks for", () => {
  const lanes = [
    { rule: "cactus:delta=0.25", knobs: { delta: 0.25 }, draft_length: 4 },
    { rule: null, knobs: {} },
  ];
  const { prompt, style, seed, max_new_tokens, temperature, top_k, top_p } = ASKED;
  const trace = {
    ...{ prompt, style, seed, max_new_tokens, lanes },
    sampling: { temperature, top_k, top_p },
    models: { verifier: { id: "small/verifier" } },
  };
  const wanted = links.read(link());
  assert.equal(links.matches(trace, wanted), true);
  assert.deepEqual(
    wanted.columns.map((column) => column.from),
    [1, 0],
  );
  for (const change of [{ seed: 4 }, { prompt: "?" }, { continued: {} }, { lanes: [lanes[1]] }]) {
    assert.equal(links.matches({ ...trace, ...change }, links.read(link())), false, JSON.stringify(change));
  }
});
