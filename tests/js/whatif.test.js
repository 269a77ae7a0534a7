// Candidates for one place under another knob: only the eldest is judged again, unless the rule judges each by itself.
import assert from "node:assert/strict";
import { test } from "node:test";

import { boot } from "specviz/core/boot.js";
import * as store from "specviz/core/store.js";
import { twins } from "specviz/laws/twins.js";
import { whatIf } from "specviz/laws/rules.js";

// Two candidates for the first place, the elder refused and the younger kept; the rule keeps what is at least as likely as its
// knob says.
function lane(each) {
  boot.rules.bar = { knobs: [{ name: "least", default: 0.5, low: 0, high: 1, type: "float" }], flips: "least" };
  twins.bar = { each, stroke: [], accept: (facts, { least }) => Number(facts.verifier >= least) };
  const judged = {
    uniform: [0.5, 0.5],
    accept_prob: [0, 1],
    strict_accept_prob: [1, 1],
    draft_prob: [0.1, 0.1],
    verifier_prob: [0.3, 0.6],
  };
  const shape = { parents: [-1, -1], path: [1], node: [0, 1] };
  const seconds = { draft_seconds: 0.1, verify_seconds: 0.1, seconds: 0.3, clock: 0.3 };
  const data = { start: 1, drafted: [0, 1], kept: 1, emitted: [1, 2], origin: "bonus", judged, slices: [] };
  const told = { rule: "bar", name: "bar", knobs: { least: 0.5 }, lossless: false, scope: "token", draft_length: 1 };
  const trace = { prompt_tokens: [3], pieces: {}, lanes: [{ ...told, rounds: [{ ...data, ...shape, ...seconds }] }] };
  const run = store.open(trace);
  return (least) => [...whatIf(run, run.lanes[0], { least }).changed].map(([key, { fate }]) => [key, fate]);
}

test("a younger candidate is undecided where it was judged against what its elder left", () => {
  const judged = lane(false);
  assert.deepEqual(judged(0.9), [[0, "rejected"]]);
  assert.deepEqual(judged(0.2), [[0, "accepted"]]);
});

test("it is judged again where the rule judges each against the verifier", () => {
  const judged = lane(true);
  assert.deepEqual(judged(0.9), [
    [0, "rejected"],
    [1, "rejected"],
  ]);
  assert.deepEqual(judged(0.2), [
    [0, "accepted"],
    [1, "accepted"],
  ]);
});

test("at its own knobs every candidate is as it was", () => {
  assert.deepEqual(lane(false)(0.5), [
    [0, "rejected"],
    [1, "accepted"],
  ]);
});
