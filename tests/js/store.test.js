import assert from "node:assert/strict";
import { test } from "node:test";

import { specviz } from "./pure.js";

const { store, measures, continued } = specviz;

const round = (start, clock, more) => ({
  ...{ start, clock, seconds: 1, draft_seconds: 0.25, drafted: [1, 2], kept: 1, emitted: [1, 3], origin: "resampled" },
  judged: {
    uniform: [0.1, 0.9],
    accept_prob: [1, 0.5],
    strict_accept_prob: [0.05, 0.5],
    draft_prob: [0.5, 0.5],
    verifier_prob: [0.1, 0.25],
    kl_output_verifier: [0.2, "Infinity"],
  },
  ...more,
});
const run = () =>
  store.open({
    pieces: { 1: "a", 2: "b", 3: "c" },
    lanes: [
      {
        rule: "cactus:delta=1",
        name: "cactus",
        knobs: { delta: 1 },
        lossless: false,
        rounds: [round(5, 1), round(7, 2)],
      },
    ],
  });

test("a round's tokens have their fates, places and text", () => {
  const [lane] = run().lanes;
  assert.deepEqual(
    lane.tokens.map(({ text, fate, position, cut }) => [text, fate, position, cut]),
    [
      ["a", "relaxed", 5, false],
      ["b", "rejected", 6, true],
      ["c", "resampled", 6, false],
      ["a", "relaxed", 7, false],
      ["b", "rejected", 8, true],
      ["c", "resampled", 8, false],
    ],
  );
  assert.equal(store.text(lane), "acac");
  assert.equal(store.writtenAt(lane, 8).text, "c");
  assert.deepEqual(measures.lengths(lane, 2), [0, 2]);
});

test("at a time rounds are over, drafting or checking", () => {
  const [lane] = run().lanes;
  assert.deepEqual(store.at(lane, 0.13), { done: 0, pending: 1, phase: "drafting" });
  assert.deepEqual(store.at(lane, 0.5), { done: 0, pending: 2, phase: "checking" });
  assert.deepEqual(store.at(lane, 2), { done: 2, pending: 0, phase: "done" });
});

test("figures are of the rounds that are over, and infinite ones stay so", () => {
  const figures = measures.figures(run(), 0, 1);
  assert.deepEqual([figures.accepted_per_round, figures.emitted_per_round, figures.acceptance_rate], [1, 2, 0.5]);
  assert.deepEqual([figures.mean_kl, figures.speedup], [Infinity, null]);
});

test("what was given to every lane stands behind the prompt, the token put there by hand marked", () => {
  const trace = {
    prompt_tokens: [9, 1, 2],
    pieces: { 1: "a", 2: "b" },
    special: [],
    models: { draft: null, verifier: { revision: "0" } },
    continued: { prompt_length: 1, position: 2, forced: 2 },
  };
  assert.deepEqual(
    continued.given(trace).map(({ text, forced }) => [text, forced]),
    [
      ["a", false],
      ["b", true],
    ],
  );
  const origin = continued.origin({ trace });
  assert.deepEqual(origin, { given: [1], forced: 2, position: 2, revisions: [null, "0"] });
  assert.equal(Boolean(continued.readable(origin)), true);
  assert.equal(Boolean(continued.readable({ ...origin, given: ["1"] })), false);
  assert.equal(continued.givenText({ trace }), "ab");
});
