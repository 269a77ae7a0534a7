// Every acceptance rule at one position, by its definition. Pure: no page, no model, nothing but arithmetic.
// `verifier` and `draft` are arrays of up to a dozen probabilities, so the plain sums over all tokens are the exact answer.
// judge(rule, verifier, draft, knobs) gives what a rule does with each token that could be drafted:
//   accept     chance that token n is kept, per n
//   target     n -> the distribution aimed at once n was drafted; null for a rule without one
//   residual   n -> what is drawn from when n is refused
//   law        what the position really writes: sum over n of draft[n] (accept[n] 1_n + (1 - accept[n]) residual(n))
//   acceptance, kl   sum of draft accept; KL(law || verifier) in nats
(function (root) {
  "use strict";
  const sv = (root.specviz = root.specviz || {});
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const ratio = (target, draft) => (draft > target ? target / draft : 1);

  function normalised(weights) {
    const total = sum(weights);
    return weights.map((weight) => weight / total);
  }

  // norm(max(target - draft, 0)), or the target itself where nothing is left
  function leftover(target, draft) {
    const surplus = target.map((value, i) => Math.max(value - draft[i], 0));
    return sum(surplus) > 0 ? normalised(surplus) : target;
  }

  function entropy(probs) {
    return -sum(probs.map((p) => (p > 0 ? p * Math.log(p) : 0)));
  }

  // KL(first || second) in nats, as a sum of terms that are never negative, so that small values keep their digits.
  function kl(first, second) {
    return sum(first.map((p, i) => {
      const q = second[i];
      if (q === 0) return p > 0 ? Infinity : 0;
      const rise = (p - q) / q;
      if (Math.abs(rise) < 0.5) return Math.max(0, q * ((1 + rise) * Math.log1p(rise) - rise));
      return p > 0 ? p * Math.log(p / q) - p + q : q;
    }));
  }

  function tv(first, second) {
    return sum(first.map((p, i) => Math.abs(p - second[i]))) / 2;
  }

  function js(first, second) {
    const middle = first.map((p, i) => (p + second[i]) / 2);
    const apart = (probs) => sum(probs.map((p, i) => (p > 0 ? p * Math.log(p / middle[i]) : 0)));
    return Math.max(0, (apart(first) + apart(second)) / 2);
  }

  function favourite(probs) {
    const best = probs.indexOf(Math.max(...probs));
    return probs.map((_, i) => (i === best ? 1 : 0));
  }

  // A rule with one target for all tokens: keep with min(1, target/draft), else norm(max(target - draft, 0)).
  function aimed(target, draft) {
    const rest = leftover(target, draft);
    return { accept: target.map((value, n) => ratio(value, draft[n])), target: () => target, residual: () => rest };
  }

  // Nats it costs to lift one probability by `rise` and scale all others to fit.
  function liftCost(prob, rise) {
    if (rise <= 0) return 0;
    const rest = 1 - prob - rise;
    return (prob + rise) * (rise > prob ? Math.log((prob + rise) / prob) : Math.log1p(rise / prob)) + (rest > 0 ? rest * Math.log1p(-rise / (1 - prob)) : 0);
  }

  // g: what the Cactus target gives a drafted token of verifier probability `prob` (Cor 5, or the exact root of Thm 2)
  function lift(prob, delta, solver) {
    if (solver !== "exact") return Math.min(1, prob + Math.sqrt(2 * delta * prob * (1 - prob)));
    if (-Math.log(prob) <= delta) return 1;
    if (prob <= 0 || prob >= 1 || delta <= 0) return prob;
    let low = 0;
    let high = 1 - prob;
    for (let i = 0; i < 300 && high - low > 1e-17 * (prob + high); i += 1) {
      const middle = (low + high) / 2;
      if (middle <= low || middle >= high) break;
      if (liftCost(prob, middle) < delta) low = middle;
      else high = middle;
    }
    return prob + (low + high) / 2;
  }

  // Each drafted token n has its own target: g for n, and all others scaled to fit.
  function lifting(verifier, draft, delta, solver) {
    const lifted = verifier.map((prob) => lift(prob, delta, solver));
    const target = (n) => {
      const scale = verifier[n] < 1 ? (1 - lifted[n]) / (1 - verifier[n]) : 1;
      return verifier.map((prob, i) => (i === n ? lifted[n] : prob * scale));
    };
    return { accept: lifted.map((g, n) => ratio(g, draft[n])), target, residual: (n) => leftover(target(n), draft) };
  }

  // The delta at which KL(law || verifier) is `budget`; the least that keeps all it can where even that stays within it.
  function honestDelta(verifier, draft, budget) {
    if (budget <= 0) return 0;
    const limits = verifier.map((q, i) => (q > 0 && q < 1 && draft[i] > q ? (draft[i] - q) ** 2 / (2 * q * (1 - q)) : 0));
    const top = Math.min(Math.max(...limits) * (1 + 1e-9), 1e300);
    const spent = (delta) => outcome(lifting(verifier, draft, delta, "taylor"), verifier, draft).kl;
    if (!(top > 0) || spent(top) <= budget) return top;
    const miss = (at) => Math.log(spent(Math.exp(at)) / budget);
    let right = Math.log(top);
    let left = Math.min(right, Math.log(budget)) - 4;
    let [below, above] = [miss(left), miss(right)];
    let last = 0;
    while (below > 0) { left -= 8; below = miss(left); }
    for (let i = 0; i < 100 && right - left > 1e-15; i += 1) { // regula falsi on logarithms; an end that stays counts half
      const guess = left - (below * (right - left)) / (above - below);
      const middle = i % 8 < 7 && guess > left && guess < right ? guess : (left + right) / 2;
      if (middle <= left || middle >= right) break;
      const off = miss(middle);
      if (Math.abs(off) < 1e-15) return Math.exp(middle);
      if (off < 0) { [left, below] = [middle, off]; if (last < 0) above /= 2; } else { [right, above] = [middle, off]; if (last > 0) below /= 2; }
      last = off;
    }
    return Math.exp((left + right) / 2);
  }

  // All clips of the draft between two multiples of the verifier, by the draft mass they move: from `outside` (what
  // the verifier rules out, which always goes) to `most` = TV(draft, verifier), where the clip is the verifier itself.
  // They are the best any single-draft rule can do: a clip accepts 1 - moved, and nothing accepts more at its KL.
  function clips(verifier, draft) {
    const tokens = verifier.map((q, i) => ({ q, p: draft[i], ratio: draft[i] / q })).filter((one) => Number.isFinite(one.ratio));
    tokens.sort((a, b) => a.ratio - b.ratio);
    const outside = sum(verifier.map((q, i) => (Number.isFinite(draft[i] / q) ? 0 : draft[i])));
    const most = Math.max(outside, sum(draft.map((p, i) => Math.max(p - verifier[i], 0))));

    // sum of max(low verifier - draft, 0) = moved
    function lowFor(moved) {
      let q = 0;
      let p = 0;
      for (let i = 0; i < tokens.length; i += 1) {
        q += tokens[i].q;
        p += tokens[i].p;
        const low = (moved + p) / q;
        if (i + 1 === tokens.length || low <= tokens[i + 1].ratio) return Math.min(1, low);
      }
      return 1;
    }

    // outside + sum of max(draft - high verifier, 0) = moved
    function highFor(moved) {
      let q = 0;
      let p = outside;
      for (let i = tokens.length - 1; i >= 0; i -= 1) {
        q += tokens[i].q;
        p += tokens[i].p;
        const high = (p - moved) / q;
        if (i === 0 || high >= tokens[i - 1].ratio) return Math.max(1, high);
      }
      return Infinity;
    }

    function target(moved) {
      const low = lowFor(moved);
      const high = moved > outside ? highFor(moved) : Infinity;
      return verifier.map((q, i) => (Number.isFinite(draft[i] / q) ? Math.min(Math.max(draft[i], low * q), high < Infinity ? high * q : Infinity) : 0));
    }

    const measure = (moved) => kl(target(moved), verifier);

    // The least `moved` whose clip diverges by at most `budget`. Newton's method (the slope is -ln(high/low)), halving
    // where it would leave the bracket.
    function spend(budget) {
      if (budget <= 0) return most;
      if (measure(outside) <= budget) return outside;
      let left = outside;
      let right = most;
      let moved = (left + right) / 2;
      for (let i = 0; i < 100; i += 1) {
        const excess = measure(moved) - budget;
        if (excess > 0) left = moved;
        else right = moved;
        const newton = moved + excess / Math.log(highFor(moved) / lowFor(moved));
        const after = newton > left && newton < right ? newton : (left + right) / 2;
        if (after <= left || after >= right || Math.abs(after - moved) < 1e-17) break;
        moved = after;
      }
      return moved;
    }

    return { outside, most, target, measure, spend };
  }

  const RULES = {
    sps: (verifier, draft) => aimed(verifier, draft),
    block: (verifier, draft) => ({ ...aimed(verifier, draft), target: null }), // a block of one token
    cactus: (verifier, draft, { delta, solver }) => lifting(verifier, draft, delta, solver),
    cactus_law: (verifier, draft, { budget }) => lifting(verifier, draft, honestDelta(verifier, draft, budget), "taylor"),
    mentored(verifier, draft, { budget }) {
      if (budget <= 0) return aimed(verifier, draft);
      const all = clips(verifier, draft);
      const moved = all.spend(budget);
      return aimed(moved === 0 ? draft : all.target(moved), draft);
    },
    interpolation: (verifier, draft, { alpha }) => aimed(verifier.map((q, i) => alpha * draft[i] + (1 - alpha) * q), draft),
    lenience(verifier, draft, { factor }) {
      const rest = leftover(verifier, draft);
      return { accept: verifier.map((q, n) => ratio(q, factor * draft[n])), target: null, residual: () => rest };
    },
    tas(verifier, draft, { epsilon, alpha, fallback }) {
      const bar = Math.min(epsilon, alpha * Math.exp(-entropy(verifier)));
      const rest = fallback === "greedy" ? favourite(verifier) : verifier;
      return { accept: verifier.map((q) => (q > bar ? 1 : 0)), target: null, residual: () => rest };
    },
    top_k(verifier, draft, { k }) {
      const kth = [...verifier].sort((a, b) => b - a)[Math.min(k, verifier.length) - 1];
      const liked = verifier.map((q) => (q >= kth && q > 0 ? 1 : 0));
      const rest = leftover(liked, draft);
      return { accept: liked, target: null, residual: () => rest };
    },
    cascade_opt(verifier, draft, { alpha }) {
      const asks = alpha < 1 && Math.max(...draft) < Math.max(...verifier) - alpha * tv(draft, verifier);
      return aimed(asks ? verifier : draft, draft);
    },
    cascade_token(verifier, draft, { alpha }) {
      const bar = (1 - alpha) * Math.max(...verifier);
      const outside = sum(draft.filter((_, i) => verifier[i] < bar));
      return aimed(verifier.map((q, i) => (q >= bar ? draft[i] : 0) + outside * q), draft);
    },
    fuzzy: (verifier, draft, { threshold }) => aimed(js(draft, verifier) < threshold ? draft : verifier, draft),
    exact_match(verifier) {
      const best = favourite(verifier);
      return { accept: best, target: null, residual: () => best };
    },
    sampler_match: (verifier) => ({
      accept: verifier.map((q) => Math.min(1, q)), target: null,
      residual(n) {
        const others = verifier.map((q, i) => (i === n ? 0 : q));
        return sum(others) > 0 ? normalised(others) : verifier;
      },
    }),
  };

  // Adds law, acceptance and divergence to what a rule says.
  function outcome(rule, verifier, draft) {
    const law = draft.map((p, n) => p * rule.accept[n]);
    draft.forEach((p, n) => {
      const refused = p * (1 - rule.accept[n]);
      if (refused > 0) rule.residual(n).forEach((share, i) => { law[i] += refused * share; });
    });
    const acceptance = Math.min(1, sum(draft.map((p, n) => p * rule.accept[n])));
    return { ...rule, law, acceptance, kl: kl(law, verifier) };
  }

  function judge(rule, verifier, draft, knobs) {
    return outcome(RULES[rule](verifier, draft, knobs || {}), verifier, draft);
  }

  // The most any single-draft rule can accept at each true divergence. `end`: the last point of the curve before it
  // runs level; `outside`: draft mass the verifier rules out, which only an infinite divergence can keep.
  function frontier(verifier, draft) {
    const all = clips(verifier, draft);
    const point = (moved) => ({ kl: all.measure(moved), acceptance: 1 - moved });
    return {
      outside: all.outside, start: point(all.most), end: point(all.outside),
      best: (divergence) => (divergence === Infinity ? 1 : 1 - all.spend(divergence < 1e-13 ? 0 : divergence)),
      curve: (count) => Array.from({ length: count + 1 }, (_, i) => point(all.most - (all.most - all.outside) * (i / count))),
    };
  }

  // Uniform numbers in [0, 1) that depend on the seed alone (sfc32).
  function uniforms(seed) {
    let [a, b, c, d] = [0x9e3779b9, 0x243f6a88, 0xb7e15162 ^ Math.floor(seed / 2 ** 32), seed >>> 0];
    const next = () => {
      const t = (((a + b) | 0) + d) | 0;
      d = (d + 1) | 0;
      a = b ^ (b >>> 9);
      b = (c + (c << 3)) | 0;
      c = (c << 21) | (c >>> 11);
      c = (c + t) | 0;
      return (t >>> 0) / 2 ** 32;
    };
    for (let i = 0; i < 20; i += 1) next();
    return next;
  }

  function drawn(probs, uniform) {
    let left = uniform;
    for (let i = 0; i < probs.length; i += 1) {
      left -= probs[i];
      if (left < 0 && probs[i] > 0) return i;
    }
    return probs.findLastIndex((p) => p > 0);
  }

  // Plays rounds of a judged rule as a decoder would: draft a token, toss for it, draw again where it is refused.
  function sampler(judged, draft, seed) {
    const next = uniforms(seed);
    const rests = draft.map((_, n) => judged.residual(n));
    const made = { rounds: 0, kept: 0, written: draft.map(() => 0) };
    made.play = (rounds) => {
      for (let i = 0; i < rounds; i += 1) {
        const token = drawn(draft, next());
        const keep = next() < judged.accept[token];
        made.kept += keep;
        made.written[keep ? token : drawn(rests[token], next())] += 1;
      }
      made.rounds += rounds;
      return made;
    };
    return made;
  }

  sv.laws = { judge, frontier, sampler, kl, tv, js, entropy, lift, honestDelta, knows: (rule) => Object.hasOwn(RULES, rule), rules: () => Object.keys(RULES) };
})(typeof window === "undefined" ? globalThis : window);
