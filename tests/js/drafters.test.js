import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { specviz } from "./pure.js";

const { agreement, boot, codes, drafters, links, provenance, show, snippets, state, store, titleOf } = specviz;

const LONGEST = { name: "longest", default: 3 };
beforeEach(() => {
  Object.assign(boot, {
    rules: { plain: { knobs: [] }, sps: { knobs: [] } },
    drafters: {
      head: { knobs: [], uses_head: true },
      model: { knobs: [], uses_draft_model: true },
      ngram: { knobs: [LONGEST] },
      suffix: { knobs: [] },
    },
    pairs: [],
  });
});

const NGRAM = { name: "ngram", knobs: { longest: 3 } };
const judged = { uniform: [0.5], accept_prob: [1], strict_accept_prob: [1], draft_prob: [1], verifier_prob: [1] };
const times = { clock: 1, seconds: 1, draft_seconds: 0.2, verify_seconds: 0.5, judged };

// "a b c a b | b c a" was drafted behind a match of two, from places 2 to 4; the lane writes "c", then the draft.
const trace = () => ({
  prompt: " a b c a b",
  style: null,
  seed: 1,
  max_new_tokens: 9,
  prompt_tokens: [0, 1, 2, 3, 1, 2],
  pieces: { 0: "<s>", 1: "a ", 2: "b ", 3: "c " },
  special: [0],
  sampling: { temperature: 1, top_k: 0, top_p: 1 },
  models: { verifier: { id: "x" } },
  lanes: [
    {
      ...{ rule: "sps", name: "sps", knobs: {}, lossless: true, scope: "token", drafter: "ngram", draft_length: 3 },
      rounds: [
        { ...times, start: 6, drafted: [], kept: 0, emitted: [3], origin: "bonus", judged: {} },
        {
          ...{ ...times, start: 7, drafted: [1, 2, 3], kept: 1, emitted: [1, 2], origin: "resampled" },
          judged: { ...judged, uniform: [0.1, 0.9], accept_prob: [1, 0.5], strict_accept_prob: [1, 0.5] },
          provenance: { copied_from: [4, 5, 6], matched: [2, 2, 2], by: ["ngram", "ngram", null] },
        },
      ],
    },
    { ...{ rule: "sps", name: "sps", knobs: {}, lossless: true, scope: "token", drafter: "model" }, rounds: [] },
  ],
});

test("a drafted token knows the span it was copied from, and what stands around it", () => {
  const run = store.open(trace());
  const [lane] = run.lanes;
  const token = lane.tokens.find(({ slot, round }) => round === 1 && slot === 1);
  const known = provenance.of(run, token);
  const whole = {
    by: "ngram",
    layer: null,
    ahead: null,
    matched: 2,
    sample: null,
    place: 5,
    first: 4,
    last: 6,
    begin: 7,
  };
  assert.deepEqual(known, whole);
  assert.equal(
    provenance.sentence(run, token, known),
    "Proposed by ngram. Copied from the prompt, 3 tokens back, after a match of 2 tokens.",
  );
  const { parts, before, behind } = provenance.passage(run, lane, known);
  assert.deepEqual([before, behind], [false, false]);
  assert.deepEqual(
    parts.map(({ text, kind }) => text + kind),
    ["<s>", "a ", "b sought", "c sought", "a lit", "b here", "c lit", "a ", "b "],
  );
  // of the written tokens the first is copied; those looked up behind it are not written by this lane
  assert.deepEqual(provenance.marks(run, lane, known), [{ key: 0, kind: "lit" }]);
  assert.equal(provenance.of(run, lane.tokens[0]), null);
});

test("places in the prompt are those of its characters, whatever a template puts around it", () => {
  const run = store.open({ ...trace(), prompt: " a b c a b" });
  assert.deepEqual(provenance.inPrompt(run, 4, 6), [7, 10]);
  assert.equal(provenance.inPrompt(run, 0, 1), null);
  assert.equal(provenance.inPrompt(store.open({ ...trace(), prompt: "another" }), 4, 6), null);
});

test("voices and lengths of matches are counted over judged tokens", () => {
  const [lane] = store.open(trace()).lanes;
  assert.deepEqual(provenance.voices(lane, 2), [{ name: "ngram", drafted: 2, judged: 2, kept: 1 }]);
  assert.deepEqual(provenance.byMatch(lane, 2), [{ length: 2, drafted: 3, judged: 2, kept: 1 }]);
  assert.deepEqual(provenance.voices(lane, 1), []);
});

test("the curve of equal speed goes through its lane, and a cheaper drafter needs less", () => {
  const rounds = trace().lanes[0].rounds;
  const known = agreement.agreement(rounds, agreement.callOf(rounds));
  assert.deepEqual([known.share, known.length, known.extra, known.look], [1 / 3, 3, 1, 1]);
  assert.ok(Math.abs(known.cost - 0.2 / 0.5 / 3) < 1e-12 && Math.abs(known.speed - 2 / 1.4) < 1e-12);
  assert.ok(Math.abs(agreement.equal(known, known.cost) - known.share) < 1e-12);
  assert.ok(agreement.equal(known, 0) < known.share);
  assert.equal(agreement.agreement(rounds.slice(0, 1), 1), null);
});

test("lanes of one rule are called by their drafters, and the form has that of the first", () => {
  show(trace(), "imported", null);
  const { columns, form } = state;
  assert.deepEqual(form.drafter, NGRAM);
  assert.deepEqual(
    columns.map(({ drafter }) => drafter),
    [null, { name: "model", knobs: {} }],
  );
  assert.deepEqual(columns.map(titleOf), ["ngram", "model"]);
  assert.deepEqual(
    state.run.lanes.map(({ label }) => label),
    ["sps by ngram", "sps by model"],
  );
});

test("drafters to compare are of different kinds before two are of one", () => {
  assert.deepEqual(drafters.unlike(["ngram", "head", "model", "suffix"], 3), ["ngram", "head", "model"]);
  assert.deepEqual(drafters.unlike(["model", "ngram", "suffix"], 3), ["model", "ngram", "suffix"]);
});

test("a link and code say the drafter of a lane", () => {
  const lanes = [
    { rule: "sps", knobs: {} },
    { rule: "sps", knobs: {}, drafter: { name: "ngram", knobs: { longest: 5 } } },
    { rule: null, knobs: {}, drafter: NGRAM },
  ];
  const link = (drafter) => links.read(`#run=${codes.encode({ v: 1, prompt: "x", lanes, drafter })}`);
  const { form, columns } = link({ name: "model", knobs: {} });
  assert.deepEqual(form.drafter, { name: "model", knobs: {} });
  assert.deepEqual(
    columns.map(({ drafter }) => drafter),
    [null, { name: "ngram", knobs: { longest: 5 } }, null],
  );
  assert.deepEqual(link(null).form.drafter, { name: "ngram", knobs: { longest: 5 } }); // of older pages
  assert.equal(link(null).columns[1].drafter, null);
  const { rules, drafter } = snippets.args({ prompt: "x", drafter: { name: "model", knobs: {} }, lanes });
  assert.deepEqual([rules, drafter], [["sps", "sps@ngram:longest=5", "plain"], "model"]);
});
