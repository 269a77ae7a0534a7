import assert from "node:assert/strict";
import { test } from "node:test";

import { fixed, label, named, nats, number, percent, prob, seconds, visible } from "specviz/core/formats.js";
import "./pure.js";

test("what cannot be seen is made visible, and nothing of it stays", () => {
  assert.equal(visible("a\nb\tc\u0000\u007f"), "a⏎b⇥c␀␡");
  assert.equal(visible("\u202e<b>\ufeff\u0085"), "⟨202E⟩<b>⟨FEFF⟩⟨0085⟩");
  assert.equal(named(""), "∅");
  assert.equal(named("  a b "), "␣␣a b␣");
});

test("a number that is not zero is not said to be zero", () => {
  assert.deepEqual(
    [0, 1e-7, 0.00004, 0.0123, 0.5, 0.9999].map((p) => percent(p)),
    ["0", "≈0", "0.004", "1.2", "50", "100"],
  );
  assert.deepEqual([0, 0.0001, 0.003, 0.5].map(prob), ["0.00", "≈0", "0.003", "0.50"]);
  assert.deepEqual([0, 0.00003, 0.0002, 0.25, Infinity].map(nats), ["0", "3e−5", "0.0002", "0.250", "∞"]);
  for (const say of [percent, prob, nats, fixed]) assert.equal(say(null), "–");
});

test("times have the digits that can be told apart", () => {
  assert.deepEqual([0.00123, 0.5, 2, 34.56].map(seconds), [
    ["1.2", "ms"],
    ["500", "ms"],
    ["2.00", "s"],
    ["34.6", "s"],
  ]);
});

test("a rule is named with its main knob, by the symbol that its twin gives", () => {
  assert.equal(label("cactus", { delta: 0.123456, solver: "taylor" }), "cactus δ 0.123");
  assert.equal(label("sps", {}), "sps");
  assert.equal(number("greedy"), "greedy");
});
