// Rules over several candidates: each twin's law and acceptance against its procedure, asked of every sequence of candidates
// that may come; the optimum against every set of tokens.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";

import { boot } from "specviz/core/boot.js";
import { kl, sum } from "specviz/laws/laws.js";
import * as sets from "specviz/laws/sets.js";
import { selected } from "specviz/sets/two_step.js";

const beside = readdirSync(new URL("../../specviz/sets/", import.meta.url)).filter((file) => file.endsWith(".js"));
await sets.load(beside.map((file) => file.slice(0, -".js".length)));

const ALL = Object.keys(sets.DRAWINGS);
const JUDGED = { naive: ALL, recursive: ALL, greedy_multi: ["greedy"], cactus_set: ["picked"] };
beside.forEach((file) => {
  const name = file.slice(0, -".js".length);
  boot.sets[name] = { drawings: JUDGED[name] ?? ["iid"], lossless: name !== "cactus_set", knobs: [] };
});

// Numbers in [0, 1) from a seed (mulberry32).
function numbers(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const normal = (weights) => weights.map((weight) => weight / weights.reduce((a, b) => a + b, 0));
const point = (size, at) => Array.from({ length: size }, (_, i) => Number(i === at));

// Pairs (verifier, draft): random ones, sharp ones, and those with zeros where it hurts.
function pairs(size) {
  const draw = numbers(size);
  const some = (power) => normal(Array.from({ length: size }, () => (-Math.log(1 - draw())) ** power));
  const sharp = () => normal(Array.from({ length: size }, () => draw() ** 6 + 1e-9));
  const holes = (probs, at) => normal(probs.map((p, i) => (at.includes(i) ? 0 : p)));
  const made = [some(1), some(1)];
  return [
    made,
    [sharp(), sharp()],
    [sharp(), some(1)],
    [made[0], made[0]],
    [holes(some(1), [0]), some(1)],
    [some(1), holes(some(1), [1, 2])],
    [holes(some(1), [0, 1]), holes(some(1), [size - 1])],
    [point(size, 1), some(1)],
    [some(1), point(size, 2)],
    [point(size, 0), point(size, size - 1)],
  ];
}

const minus = (a, b) => a.map((value, i) => Math.max(0, value - b[i]));
const total = (values) => values.reduce((a, b) => a + b, 0);
const residual = (a, b) => (total(minus(a, b)) > 0 ? normal(minus(a, b)) : a);

// What is written given the candidates, as a decoder would go about it: [V]. `laws`: what each was drawn from.
const PROCEDURES = {
  naive: (verifier) => verifier,
  recursive(verifier, draft, tokens, laws) {
    const out = verifier.map(() => 0);
    let [target, open] = [verifier, 1];
    tokens.forEach((token, i) => {
      const keep = Math.min(1, target[token] / laws[i][token]);
      out[token] += open * keep;
      open *= 1 - keep;
      target = residual(target, laws[i]);
    });
    return out.map((mass, i) => mass + open * target[i]);
  },
  k_seq(verifier, draft, tokens, laws, k) {
    const beta = (g) => total(draft.map((p, i) => Math.min(p, verifier[i] / g)));
    let [low, high] = [1, k];
    for (let i = 0; i < 200; i += 1) {
      const g = (low + high) / 2;
      if (1 - (1 - beta(g)) ** k > g * beta(g)) low = g;
      else high = g;
    }
    const out = verifier.map(() => 0);
    let open = 1;
    tokens.forEach((token) => {
      const keep = Math.min(1, verifier[token] / (high * draft[token]));
      out[token] += open * keep;
      open *= 1 - keep;
    });
    const all = beta(high) > 0 ? (1 - (1 - beta(high)) ** k) / beta(high) : 0;
    const rest = residual(
      verifier,
      draft.map((p, i) => Math.min(p, verifier[i] / high) * all),
    );
    return out.map((mass, i) => mass + open * rest[i]);
  },
  greedy_multi(verifier, draft, tokens, laws) {
    const keep = Math.min(1, verifier[tokens[0]] / laws[0][tokens[0]]);
    const rest = residual(verifier, laws[0]);
    return verifier.map((_, i) => (i === tokens[0] ? keep : 0) + (1 - keep) * rest[i]);
  },
};

function laws(draft, k, drawing, tokens) {
  const order = draft.map((p, i) => [p, i]).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  return tokens.map((token, i) => {
    if (drawing === "iid") return draft;
    if (drawing === "picked") return point(draft.length, order[i][1]);
    if (drawing === "greedy" && i) return point(draft.length, order[i - 1][1]);
    const fixed = drawing === "greedy" ? order.slice(0, k - 1).map(([, x]) => x) : tokens.slice(0, i);
    return normal(draft.map((p, x) => (fixed.includes(x) ? 0 : p)));
  });
}

// Every sequence of k candidates with its chance, counted out over all V^k; those that a drawing cannot give have none.
function sequences(draft, k, drawing) {
  const size = draft.length;
  const found = [];
  for (let code = 0; code < size ** k; code += 1) {
    const tokens = Array.from({ length: k }, (_, i) => Math.floor(code / size ** i) % size);
    if (drawing !== "iid" && new Set(tokens).size < k) continue;
    const probability = laws(draft, k, drawing, tokens).reduce((weight, law, i) => weight * (law[tokens[i]] || 0), 1);
    if (probability > 0) found.push({ tokens, probability });
  }
  return found;
}

const near = (a, b, what) => assert.ok(Math.abs(a - b) < 1e-12, `${what}: ${a} against ${b}`);
const cases = (visit) =>
  [4, 5].forEach((size) =>
    pairs(size).forEach(([verifier, draft]) =>
      [1, 2, 3].forEach((k) =>
        Object.keys(sets.DRAWINGS).forEach((drawing) => {
          // With fewer tokens than candidates there are fewer; what follows counts k.
          if (drawing === "iid" || draft.filter((p) => p > 0).length >= k) visit({ size, verifier, draft, k, drawing });
        }),
      ),
    ),
  );

test("law and acceptance are those of the procedure over every sequence of candidates", () => {
  const seen = new Set();
  cases(({ verifier, draft, k, drawing }) => {
    Object.entries(PROCEDURES).forEach(([name, emitted]) => {
      const said = sets.judge(name, verifier, draft, k, drawing);
      if (!said) return;
      const law = verifier.map(() => 0);
      let acceptance = 0;
      for (const { tokens, probability } of sequences(draft, k, drawing)) {
        const out = emitted(verifier, draft, tokens, laws(draft, k, drawing, tokens), k);
        out.forEach((mass, i) => {
          law[i] += probability * mass;
          acceptance += tokens.includes(i) ? probability * mass : 0;
        });
      }
      near(said.acceptance, acceptance, `${name} ${drawing} ${k}`);
      law.forEach((mass, i) => near(said.law[i], mass, `${name} ${drawing} ${k} law`));
      seen.add(`${name} ${drawing}`);
    });
  });
  assert.equal(seen.size, 4 + 4 + 1 + 1);
});

test("the optimum is the least over all sets of tokens", () => {
  cases(({ size, verifier, draft, k, drawing }) => {
    const found = sequences(draft, k, drawing);
    let least = 1;
    for (let code = 0; code < 2 ** size; code += 1) {
      const inside = (i) => Boolean(code & (1 << i));
      const held = total(found.filter(({ tokens }) => tokens.every(inside)).map(({ probability }) => probability));
      least = Math.min(least, 1 + total(verifier.filter((_, i) => inside(i))) - held);
    }
    near(sets.optimum(verifier, draft, k, drawing), least, `${drawing} ${k}`);
  });
});

test("every lossless rule writes the verifier's law and none accepts more than the optimum", () => {
  cases(({ verifier, draft, k, drawing }) => {
    Object.keys(sets.sets).forEach((name) => {
      const said = sets.judge(name, verifier, draft, k, drawing);
      if (!said || !boot.sets[name].lossless) return;
      said.law.forEach((mass, i) => near(mass, verifier[i], `${name} ${drawing} ${k}`));
      assert.ok(said.acceptance < sets.optimum(verifier, draft, k, drawing) + 1e-12, `${name} ${drawing} ${k}`);
      if (["two_step", "greedy_multi"].includes(name) || (name === "recursive" && drawing === "greedy"))
        near(said.short, 0, `${name} ${k} meets the optimum`);
    });
  });
});

test("what two steps select can be selected: on every set of tokens lies at least what leaves no other choice", () => {
  cases(({ size, verifier, draft, k, drawing }) => {
    if (drawing !== "iid") return;
    const law = selected(verifier, draft, k);
    near(total(law), 1, "a law");
    for (let code = 0; code < 2 ** size; code += 1) {
      const inside = (probs) => total(probs.filter((_, i) => code & (1 << i)));
      assert.ok(inside(law) > inside(draft) ** k - 1e-12, `${inside(law)} of ${inside(draft) ** k}`);
    }
  });
});

test("list coupling: the closed form of one candidate, and of more an integral done by numbers", () => {
  pairs(5).forEach(([verifier, draft]) => {
    let one = 0;
    draft.forEach((p, x) => {
      if (!(p > 0 && verifier[x] > 0)) return;
      one += 1 / total(draft.map((r, y) => Math.max(r / p, verifier[y] / verifier[x])));
    });
    near(sets.judge("list_coupling", verifier, draft, 1, "iid").acceptance, one, "k = 1");
  });
  const [[verifier, draft]] = pairs(4);
  // Of token y: own numbers e_j, by midpoints of u = 1 - exp(-e); what is left of the others given them is a product.
  const steps = 640;
  const grid = Array.from({ length: steps }, (_, i) => -Math.log(1 - (i + 0.5) / steps));
  let missed = 0;
  verifier.forEach((q, y) => {
    const rates = verifier.map((r, x) => (x === y ? [0, 0] : [r / q, draft[x] / draft[y]]));
    const apart = (least, e) =>
      Math.exp(-least * total(rates.map(([a]) => a))) -
      Math.exp(-total(rates.map(([a, b]) => Math.max(least * a, e * b))));
    for (const first of grid)
      for (const second of grid) {
        const least = Math.min(first, second);
        missed += (apart(least, first) * apart(least, second)) / steps ** 2;
      }
  });
  const { acceptance } = sets.judge("list_coupling", verifier, draft, 2, "iid");
  assert.ok(Math.abs(acceptance - (1 - missed)) < 1e-4, `${acceptance} against ${1 - missed}`);
});

// Beyond 4.5 standard errors about once in 150,000 seeds; this one is fixed.
test("list coupling of three candidates is what races of noises give", () => {
  const [, , [verifier, draft]] = pairs(5);
  const draw = numbers(4);
  const least = (values) => values.indexOf(Math.min(...values));
  const rounds = 60000;
  let hits = 0;
  for (let i = 0; i < rounds; i += 1) {
    const noises = [0, 1, 2].map(() => draft.map(() => -Math.log(1 - draw())));
    const written = least(verifier.map((q, x) => Math.min(...noises.map((noise) => noise[x])) / q));
    hits += Number(noises.some((noise) => least(noise.map((e, x) => e / draft[x])) === written));
  }
  const { acceptance } = sets.judge("list_coupling", verifier, draft, 3, "iid");
  const error = Math.sqrt((acceptance * (1 - acceptance)) / rounds);
  assert.ok(Math.abs(hits / rounds - acceptance) < 4.5 * error, `${hits / rounds} against ${acceptance}`);
});

test("a chosen set keeps its promise: what is written strays by the budget, and no law strays less with that mass on it", () => {
  const draw = numbers(9);
  pairs(5).forEach(([verifier, draft]) =>
    [1, 2, 3].forEach((k) =>
      [0, 0.02, 0.3].forEach((delta) => {
        const inside = sets.chosen(draft, k, "picked");
        const mass = total(inside.map((token) => verifier[token]));
        const said = sets.judge("cactus_set", verifier, draft, k, "picked", { delta, solver: "exact" });
        near(total(said.law), 1, "a law");
        near(total(inside.map((token) => said.law[token])), said.acceptance, "accepts what lies on the set");
        assert.ok(said.kl <= delta + 1e-12, `${said.kl} of ${delta}`);
        if (mass > 0 && said.acceptance < 1) assert.ok(Math.abs(said.kl - delta) < 1e-9 && said.short < 1e-9);
        if (!(mass > 0 && mass < 1)) return;
        const other = normal(verifier.map((q) => q * (0.2 + draw())));
        const part = total(inside.map((token) => other[token]));
        const moved = other.map((p, i) =>
          inside.includes(i) ? (p * said.acceptance) / part : (p * (1 - said.acceptance)) / (1 - part),
        );
        if (part < 1) assert.ok(kl(moved, verifier) >= said.kl - 1e-12);
      }),
    ),
  );
});

test("where the draft runs out of tokens there are fewer candidates", () => {
  const draft = [0.7, 0.3, 0, 0];
  const verifier = [0.1, 0.2, 0.3, 0.4];
  ["without_replacement", "greedy", "picked"].forEach((drawing) => {
    near(sum(sets.covered(draft, 4, drawing)), 2, drawing);
    near(sets.judge("recursive", verifier, draft, 4, drawing).acceptance, 0.3, drawing);
    near(sets.optimum(verifier, draft, 4, drawing), 0.3, drawing);
  });
  near(sets.judge("greedy_multi", verifier, draft, 4, "greedy").acceptance, 0.3, "greedy");
});
