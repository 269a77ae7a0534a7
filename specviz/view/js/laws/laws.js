// Acceptance rules at one position, exactly: what the twins of the rules (specviz/rules/x.js) are
// made of, and what is asked of them. Pure: no page, no model, nothing but arithmetic. `verifier`
// and `draft` are arrays of up to a dozen probabilities, so plain sums over all tokens are exact.
//
// judge(rule, verifier, draft, knobs) gives what a rule does with each token that could be drafted:
//   accept     probability that token n is kept, per n
//   target     n -> the distribution aimed at once n was drafted; null for a rule without one
//   residual   n -> what is drawn from when n is refused
//   law        what the position really writes:
//              sum over n of draft[n] (accept[n] 1_n + (1 - accept[n]) residual(n))
//   acceptance, kl   sum of draft accept; KL(law || verifier) in nats
import { twins } from "specviz/laws/twins.js";

export const ROUNDING = 2e-5; // of sums of recorded figures: what differs by less is equal
/** @param {number[]} values */
export const sum = (values) => values.reduce((total, value) => total + value, 0);
/** @type {(target: number, draft: number) => number} */
export const ratio = (target, draft) => (draft > target ? target / draft : 1);

// Of a recorded token (its `facts`, see twins.js): what a strict check keeps it with, and by how
// much the draw exceeded what the verifier covers; below 0 for a token that a strict check keeps.
/** @param {Facts} facts */
export const strict = (facts) => ratio(facts.verifier, facts.draft);
/** @param {Facts} facts */
export const short = (facts) => facts.uniform * facts.draft - facts.verifier;

/** @param {number[]} weights */
export function normalised(weights) {
  const total = sum(weights);
  return weights.map((weight) => weight / total);
}

// norm(max(target - draft, 0)), or the target itself where nothing is left
/**
 * @param {Probs} target
 * @param {Probs} draft
 */
export function leftover(target, draft) {
  const surplus = target.map((value, i) => Math.max(value - draft[i], 0));
  return sum(surplus) > 0 ? normalised(surplus) : target;
}

/** @param {Probs} probs */
export function entropy(probs) {
  return -sum(probs.map((p) => (p > 0 ? p * Math.log(p) : 0)));
}

// KL(first || second) in nats, as a sum of terms that are never negative, so that small values
// keep their digits.
/**
 * @param {Probs} first
 * @param {Probs} second
 */
export function kl(first, second) {
  return sum(
    first.map((p, i) => {
      const q = second[i];
      if (q === 0) return p > 0 ? Infinity : 0;
      const rise = (p - q) / q;
      if (Math.abs(rise) < 0.5) return Math.max(0, q * ((1 + rise) * Math.log1p(rise) - rise));
      return p > 0 ? p * Math.log(p / q) - p + q : q;
    }),
  );
}

/**
 * @param {Probs} first
 * @param {Probs} second
 */
export function tv(first, second) {
  return sum(first.map((p, i) => Math.abs(p - second[i]))) / 2;
}

/**
 * @param {Probs} first
 * @param {Probs} second
 */
export function js(first, second) {
  const middle = first.map((p, i) => (p + second[i]) / 2);
  /** @param {Probs} probs */
  const apart = (probs) => sum(probs.map((p, i) => (p > 0 ? p * Math.log(p / middle[i]) : 0)));
  return Math.max(0, (apart(first) + apart(second)) / 2);
}

/** @param {Probs} probs */
export function favourite(probs) {
  const best = probs.indexOf(Math.max(...probs));
  return probs.map((_, i) => (i === best ? 1 : 0));
}

// A rule with one target for all tokens: keep with min(1, target/draft), else draw from
// norm(max(target - draft, 0)).
/**
 * @param {Probs} target
 * @param {Probs} draft
 * @returns {Said}
 */
export function aimed(target, draft) {
  const rest = leftover(target, draft);
  const accept = target.map((value, n) => ratio(value, draft[n]));
  return { accept, target: () => target, residual: () => rest };
}

// The budget in nats that lifts one probability by `rise` and scales all others to fit: what that
// really costs by solver exact, an approximation of it by taylor.
/**
 * @param {number} prob
 * @param {number} rise
 * @param {string} solver
 */
export function liftCost(prob, rise, solver) {
  if (rise <= 0) return 0;
  if (solver !== "exact") return (rise * rise) / (2 * prob * (1 - prob));
  const rest = 1 - prob - rise;
  const up = rise > prob ? Math.log((prob + rise) / prob) : Math.log1p(rise / prob);
  return (prob + rise) * up + (rest > 0 ? rest * Math.log1p(-rise / (1 - prob)) : 0);
}

// What a budget of delta nats lifts a verifier probability to (Hao & Mou 2026: Cor. 5, or the
// exact root of Thm 2).
/**
 * @param {number} prob
 * @param {number} delta
 * @param {string} solver
 */
export function lift(prob, delta, solver) {
  if (solver !== "exact") return Math.min(1, prob + Math.sqrt(2 * delta * prob * (1 - prob)));
  if (-Math.log(prob) <= delta) return 1;
  if (prob <= 0 || prob >= 1 || delta <= 0) return prob;
  let low = 0;
  let high = 1 - prob;
  for (let i = 0; i < 300 && high - low > 1e-17 * (prob + high); i += 1) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) break;
    if (liftCost(prob, middle, "exact") < delta) low = middle;
    else high = middle;
  }
  return prob + (low + high) / 2;
}

// Each drafted token n has its own target: n lifted by delta nats, and all others scaled to fit.
/**
 * @param {Probs} verifier
 * @param {Probs} draft
 * @param {number} delta
 * @param {string} solver
 * @returns {Said}
 */
export function lifting(verifier, draft, delta, solver) {
  const lifted = verifier.map((prob) => lift(prob, delta, solver));
  /** @param {number} n */
  const target = (n) => {
    const scale = verifier[n] < 1 ? (1 - lifted[n]) / (1 - verifier[n]) : 1;
    return verifier.map((prob, i) => (i === n ? lifted[n] : prob * scale));
  };
  const accept = lifted.map((g, n) => ratio(g, draft[n]));
  return { accept, target, residual: (n) => leftover(target(n), draft) };
}

// All clips of the draft between two multiples of the verifier, by the draft mass they move: from
// `outside` (what the verifier rules out, which always goes) to `most` = TV(draft, verifier),
// where the clip is the verifier itself. They are the best any single-draft rule can do: a clip
// accepts 1 - moved, and nothing accepts more at its KL.
/**
 * @param {Probs} verifier
 * @param {Probs} draft
 */
export function clips(verifier, draft) {
  /** @param {number} i */
  const allowed = (i) => Number.isFinite(draft[i] / verifier[i]);
  const tokens = verifier
    .map((q, i) => ({ q, p: draft[i], ratio: draft[i] / q }))
    .filter((token) => Number.isFinite(token.ratio));
  tokens.sort((a, b) => a.ratio - b.ratio);
  const outside = sum(draft.map((p, i) => (allowed(i) ? 0 : p)));
  const most = Math.max(outside, sum(draft.map((p, i) => Math.max(p - verifier[i], 0))));

  // sum of max(low verifier - draft, 0) = moved
  /** @param {number} moved */
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
  /** @param {number} moved */
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

  /** @param {number} moved */
  function target(moved) {
    const low = lowFor(moved);
    const high = moved > outside ? highFor(moved) : Infinity;
    /**
     * @param {number} q
     * @param {number} p
     */
    const clip = (q, p) => Math.min(Math.max(p, low * q), high < Infinity ? high * q : Infinity);
    return verifier.map((q, i) => (allowed(i) ? clip(q, draft[i]) : 0));
  }

  /** @param {number} moved */
  const measure = (moved) => kl(target(moved), verifier);

  // The least `moved` whose clip diverges by at most `budget`. Newton's method (the slope is
  // -ln(high/low)), halving where it would leave the bracket.
  /** @param {number} budget */
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

// Adds law, acceptance and divergence to what a rule says.
/**
 * @param {Said} said
 * @param {Probs} verifier
 * @param {Probs} draft
 * @returns {Judged}
 */
export function outcome(said, verifier, draft) {
  const law = draft.map((p, n) => p * said.accept[n]);
  draft.forEach((p, n) => {
    const refused = p * (1 - said.accept[n]);
    if (refused > 0)
      said.residual(n).forEach((part, i) => {
        law[i] += refused * part;
      });
  });
  const acceptance = Math.min(1, sum(draft.map((p, n) => p * said.accept[n])));
  return { ...said, law, acceptance, kl: kl(law, verifier) };
}

/**
 * @param {string} rule
 * @param {Probs} verifier
 * @param {Probs} draft
 * @param {Knobs} knobs
 */
export function judge(rule, verifier, draft, knobs) {
  return outcome(twins[rule].law(verifier, draft, knobs || {}), verifier, draft);
}

// The most any single-draft rule can accept at each true divergence. `end`: the last point of the
// curve before it runs level; `outside`: draft mass the verifier rules out, which only an
// infinite divergence can keep.
/**
 * @param {Probs} verifier
 * @param {Probs} draft
 */
export function frontier(verifier, draft) {
  const all = clips(verifier, draft);
  /** @param {number} moved */
  const point = (moved) => ({ kl: all.measure(moved), acceptance: 1 - moved });
  /** @param {number} share */
  const at = (share) => point(all.most - (all.most - all.outside) * share);
  /** @param {number} divergence */
  const spend = (divergence) => all.spend(divergence < 1e-13 ? 0 : divergence);
  return {
    outside: all.outside,
    start: point(all.most),
    end: point(all.outside),
    /** @param {number} divergence */
    best: (divergence) => (divergence === Infinity ? 1 : 1 - spend(divergence)),
    /** @param {number} count */
    curve: (count) => Array.from({ length: count + 1 }, (_, i) => at(i / count)),
  };
}

// Uniform numbers in [0, 1) that depend on the seed alone (sfc32).
/** @param {number} seed */
function uniforms(seed) {
  let [a, b, c] = [0x9e3779b9, 0x243f6a88, 0xb7e15162 ^ Math.floor(seed / 2 ** 32)];
  let d = seed >>> 0;
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

/**
 * @param {Probs} probs
 * @param {number} uniform
 */
function drawn(probs, uniform) {
  let left = uniform;
  for (let i = 0; i < probs.length; i += 1) {
    left -= probs[i];
    if (left < 0 && probs[i] > 0) return i;
  }
  return probs.findLastIndex((p) => p > 0);
}

// Plays rounds of a judged rule as a decoder would: draft a token, toss for it, draw again where
// it is refused.
/**
 * @param {Judged} judged
 * @param {Probs} draft
 * @param {number} seed
 */
export function sampler(judged, draft, seed) {
  const next = uniforms(seed);
  const rests = draft.map((_, n) => judged.residual(n));
  const made = { rounds: 0, kept: 0, written: draft.map(() => 0), once, play };

  // One round: the drafted token, the draw, whether it was kept, and the token that is written.
  function once() {
    const token = drawn(draft, next());
    const uniform = next();
    const kept = uniform < judged.accept[token];
    const word = kept ? token : drawn(rests[token], next());
    made.rounds += 1;
    made.kept += Number(kept);
    made.written[word] += 1;
    return { token, uniform, kept, word };
  }

  /** @param {number} rounds */
  function play(rounds) {
    for (let i = 0; i < rounds; i += 1) once();
    return made;
  }
  return made;
}

/** @param {string} rule */
export const knows = (rule) => Boolean(twins[rule]?.law);
