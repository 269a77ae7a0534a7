// The page's own figures: intervals, costs, what-if, answers. Against Python's numbers, and on the recorded runs.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { claim } from "specviz/core/answers.js";
import { boot } from "specviz/core/boot.js";
import * as costs from "specviz/core/costs.js";
import * as estimates from "specviz/core/estimates.js";
import * as measures from "specviz/core/measures.js";
import * as store from "specviz/core/store.js";
import { rejudged } from "specviz/laws/rejudged.js";
import { load } from "specviz/laws/twins.js";

const HERE = new URL("../../", import.meta.url);
const RULES = readdirSync(new URL("specviz/rules/", HERE)).filter((file) => file.endsWith(".js"));
await load(RULES.map((file) => file.slice(0, -3)));
const knob = (name) => ({ name, low: 0, high: 100, type: "float" });
boot.rules.cactus = { flips: "delta", spends: "delta", loose_below: false, knobs: [knob("delta")] };
boot.rules.tas = { flips: "epsilon", spends: null, loose_below: true, knobs: [knob("epsilon")] };

const near = (value, wanted, by = 1e-9) =>
  assert.ok(Math.abs(value - wanted) <= by * Math.max(1, Math.abs(wanted)), `${value} is not ${wanted}`);
const runs = readdirSync(new URL("assets/recorded/", HERE)).map((name) =>
  store.open(JSON.parse(readFileSync(new URL(`assets/recorded/${name}`, HERE), "utf8"))),
);
const lanes = (rule) =>
  runs.flatMap((run) => run.lanes.filter((lane) => lane.rule === rule).map((lane) => [run, lane]));
const whole = (lane) => measures.figures({ lanes: [lane] }, 0, Infinity);

function sums(above, below) {
  const total = (value) => above.reduce((all, a, i) => all + value(a, below[i]), 0);
  return {
    count: below.length,
    above: total((a) => a),
    below: total((a, b) => b),
    above2: total((a) => a * a),
    product: total((a, b) => a * b),
    below2: total((a, b) => b * b),
  };
}

test("Student's t is SciPy's", () => {
  const wanted = [
    [1, 12.706204736174694],
    [2, 4.302652729749462],
    [3, 3.1824463052837078],
    [10, 2.228138851986274],
    [57, 2.002465459291007],
    [100, 1.9839715185235518],
    [101, 1.983731002955606],
    [400, 1.9659123432294627],
  ];
  wanted.forEach(([freedom, value]) => near(estimates.student(freedom), value, 1e-7));
});

test("ratio, quotient and Wilson's interval are those of specviz.prob.stats", () => {
  const pace = estimates.ratio(
    sums([4, 3, 5, 2, 2, 3, 1, 5, 4, 3], [0.31, 0.2, 0.21, 0.19, 0.25, 0.2, 0.18, 0.22, 0.24, 0.2]),
  );
  const plain = estimates.ratio(sums(Array(8).fill(1), [0.15, 0.1, 0.11, 0.1, 0.09, 0.12, 0.1, 0.1]));
  const gained = estimates.quotient(pace, plain);
  const small = estimates.ratio(sums([1, 0], [3, 4]));
  [
    [pace, 14.545454545454547, 10.570831511197706, 18.520077579711387],
    [plain, 9.195402298850576, 7.862828900546926, 10.527975697154226],
    [gained, 1.5818181818181818, 1.0925540760727954, 2.071082287563568],
    [small, 0.14285714285714285, 0, 2.2173395487632153],
  ].forEach(([{ value, low, high }, ...wanted]) => [value, low, high].forEach((end, i) => near(end, wanted[i])));
  assert.equal(estimates.ratio(sums([3], [2])).low, null);
  assert.equal(estimates.quotient(pace, estimates.ratio(sums([3], [2]))).low, null);
  const shares = [
    [0, 5, 0, 0.43448246478317476],
    [17, 20, 0.6395811352592431, 0.9476312541037835],
    [1, 1, 0.20654931437723745, 1],
    [120, 400, 0.25716767195619705, 0.34663724577752153],
  ];
  shares.forEach(([kept, trials, ...wanted]) =>
    estimates.wilson(kept, trials).forEach((end, i) => near(end, wanted[i], 1e-12)),
  );
  assert.equal(estimates.wilson(0, 0), null);
});

test("a speed-up is said only where its interval tells", () => {
  const says = (value, low, high) => estimates.telling({ value, low, high });
  assert.deepEqual(
    [
      says(1.3, 1.1, 1.5),
      says(0.8, 0.7, 0.9),
      says(1.1, 0.9, 1.3),
      says(2, 1.2, 2.8),
      says(1.3, null, null),
      says(3.9, 1.9, 5.9),
    ],
    [true, true, false, false, false, true],
  );
});

test("the estimated speed-up is the tokens of the rounds over what they cost", () => {
  const at = { verifier: 20, look: 1.2 };
  near(costs.speedup(at, { rounds: 1, drafted: 4, emitted: 3 }), 3 / (4 / 20 + 1.2));
  near(costs.speedup(at, { rounds: 2, drafted: 6, emitted: 5 }), 5 / (6 / 20 + 1.2 + 1.1));
  near(costs.speedup(at, { rounds: 10, drafted: 0, emitted: 10 }), 1);
  near(costs.speedup(at, { rounds: 1, drafted: 4, emitted: 3 }, false), 3 / 1.2);
  assert.equal(costs.speedup(at, { rounds: 0, drafted: 0, emitted: 0 }), null);
  const round = (drafted, draft_seconds, verify_seconds) => ({
    drafted: Array(drafted),
    draft_seconds,
    verify_seconds,
  });
  const plain = [round(0, 0, 9), round(0, 0, 0.1), round(0, 0, 0.1), round(0, 0, 0.1)];
  const lane = [round(4, 9, 9), round(4, 0.04, 0.12), round(2, 0.02, 0.11), round(0, 0, 0.1)];
  const found = costs.measured(plain, [lane]);
  near(found.verifier, 10);
  near(found.look, 1.2);
  assert.equal(costs.measured([], [lane]), null);
  assert.equal(costs.measured(plain, []), null);
  assert.equal(costs.readable({ verifier: "9", look: 1 }), null);
  assert.deepEqual(costs.readable({ verifier: 1e9, look: 1.5, more: 1 }), { verifier: 200, look: 1.5 });
});

test("a knob a hair from where it ran changes no figure, and as it ran there is nothing to say", () => {
  let seen = 0;
  for (const rule of ["cactus", "tas"])
    lanes(rule).forEach(([run, lane]) => {
      assert.equal(rejudged(run, lane, { ...lane.knobs }), null);
      const name = boot.rules[rule].flips;
      const again = rejudged(run, lane, { ...lane.knobs, [name]: lane.knobs[name] * (1 + 1e-9) });
      const { flips } = again;
      if (flips) return; // a recorded figure has five digits
      const figures = again.at(lane.rounds.length);
      const was = whole(lane);
      ["accepted_per_round", "emitted_per_round", "acceptance_rate", "relaxed_share"].forEach((figure) =>
        near(figures[figure].value, was[figure]),
      );
      assert.equal(figures.accepted_per_round.least ?? false, false);
      near(figures.counts.emitted, was.emitted);
      seen += 1;
    });
  assert.ok(seen >= 12, `${seen} lanes`);
});

test("figures follow the knob: nothing is relaxed without a budget, and more of one keeps no less", () => {
  lanes("cactus").forEach(([run, lane]) => {
    const at = (delta) => rejudged(run, lane, { ...lane.knobs, delta })?.at(lane.rounds.length);
    const none = at(0);
    assert.equal(none.relaxed_share.value, 0);
    assert.equal(none.accepted_per_round.least, false, "what is refused now was judged then");
    const kept = [0, 0.01, 0.1, 0.3, 3, 30].map((delta) => at(delta).accepted_per_round.value);
    kept.slice(1).forEach((value, i) => assert.ok(value >= kept[i] - 1e-12));
    assert.ok(none.accepted_per_round.value <= whole(lane).accepted_per_round + 1e-12);
    near(none.whole.now ?? 0, 0, 1e-4);
  });
});

test("divergence is exact where the trace holds the distributions whole", () => {
  let seen = 0;
  for (const rule of ["cactus", "tas"])
    lanes(rule).forEach(([run, lane]) => {
      const name = boot.rules[rule].flips;
      const { count, was, now } = rejudged(run, lane, { ...lane.knobs, [name]: lane.knobs[name] * (1 + 1e-9) }).at(
        lane.rounds.length,
      ).whole;
      if (!count) return;
      near(now, was, 2e-3);
      seen += count;
    });
  assert.ok(seen > 200, `${seen} positions`);
});

test("an answer is the first whole claim", () => {
  assert.deepEqual(claim("7. The answer is 1,  2.\n", "1, 2"), { said: "1,  2", right: true });
  assert.deepEqual(claim("The answer is Sydney.", "Canberra"), { said: "Sydney", right: false });
  assert.equal(claim("I do not know.", "4"), null);
});
