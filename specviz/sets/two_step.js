// The twin of two_step.py for two candidates: one of them is chosen with the weights that serve the verifier best, and judged
// alone. The weights are a greatest flow from pairs of candidates to tokens, of which a token takes no more than the verifier
// wants. What flows is kept, so the choice reaches the optimum, and leaves the residual nothing to hit.
import { leftover, sum } from "specviz/laws/laws.js";

// The greatest flow from pairs {tokens, mass} into tokens that take at most `room` each: what each pair gives to each of its
// tokens. By shortest paths of pairs and tokens in turns (Edmonds and Karp 1972).
/**
 * @param {{ tokens: number[], mass: number }[]} pairs
 * @param {Probs} room
 */
function flow(pairs, room) {
  const given = pairs.map(({ tokens }) => tokens.map(() => 0));
  const spare = pairs.map(({ mass }) => mass);
  const free = [...room];
  const TINY = 1e-15;
  for (let rounds = 0; rounds < 10000; rounds += 1) {
    /** @type {{ pair: number, token: number, from: number }[]} */
    const steps = []; // mass of a pair moves to a token; `from`: the step that made room for it, by taking from that token
    const seen = room.map(() => false);
    /** @type {(pair: number, from: number, not: number) => void} */
    const reach = (pair, from, not) =>
      pairs[pair].tokens.forEach((token) => {
        if (seen[token] || token === not) return;
        seen[token] = true;
        steps.push({ pair, token, from });
      });
    spare.forEach((mass, pair) => {
      if (mass > TINY) reach(pair, -1, -1);
    });
    let end = -1;
    for (let at = 0; at < steps.length && end < 0; at += 1) {
      const { token } = steps[at];
      if (free[token] > TINY) end = at;
      else
        pairs.forEach(({ tokens }, pair) => {
          const i = tokens.indexOf(token);
          if (i >= 0 && given[pair][i] > TINY) reach(pair, at, token);
        });
    }
    if (end < 0) break;
    const way = [];
    for (let at = end; at >= 0; at = steps[at].from) way.push(steps[at]);
    const first = way[way.length - 1];
    const amount = way.reduce(
      (least, { pair, from }) =>
        from < 0 ? least : Math.min(least, given[pair][pairs[pair].tokens.indexOf(steps[from].token)]),
      Math.min(free[way[0].token], spare[first.pair]),
    );
    way.forEach(({ pair, token, from }) => {
      given[pair][pairs[pair].tokens.indexOf(token)] += amount;
      if (from >= 0) given[pair][pairs[pair].tokens.indexOf(steps[from].token)] -= amount;
    });
    free[way[0].token] -= amount;
    spare[first.pair] -= amount;
  }
  return { given, spare };
}

/** @type {SetTwin} */
export default {
  drawings: ["iid"],
  most: 2,
  stroke: ["ink2", 1.5, "2 3", "diamond-open", "dot"],
  judge(verifier, draft, k) {
    const pairs = draft.flatMap((p, i) =>
      k === 1
        ? [{ tokens: [i], mass: p }]
        : draft
            .slice(0, i + 1)
            .map((other, j) => ({ tokens: i === j ? [i] : [i, j], mass: (i === j ? 1 : 2) * p * other })),
    );
    const { given, spare } = flow(pairs, verifier);
    const choice = draft.map(() => 0); // the law of the one that is judged
    pairs.forEach(({ tokens }, pair) =>
      tokens.forEach((token, i) => {
        choice[token] += given[pair][i] + spare[pair] / tokens.length;
      }),
    );
    const kept = choice.map((p, i) => Math.min(p, verifier[i]));
    const acceptance = sum(kept);
    const rest = leftover(verifier, choice);
    return { law: kept.map((mass, i) => mass + (1 - acceptance) * rest[i]), acceptance };
  },
};
