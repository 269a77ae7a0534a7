// What a rule would do with a recorded token, from the few numbers a trace holds. Pure.
// facts: draft, verifier (probability of the token under each model), uniform (the draw), entropy, rank, tv, js, draftMax,
// verifierMax, and of a rule that depends on whole distributions `flip`, the knob's value at which the fate changes.
(function (root) {
  "use strict";
  const sv = (root.specviz = root.specviz || {});
  const clip = (x) => Math.min(1, Math.max(0, x));
  const ROUNDING = 2e-5; // of sums of recorded figures: what differs by less is equal

  function strict(f) {
    return f.draft > 0 ? Math.min(1, f.verifier / f.draft) : 1;
  }

  // Nats it costs to lift a probability q to g and scale all others to fit: KL of the Cactus target from the verifier.
  function liftCost(q, g) {
    if (g <= q) return 0;
    return g * Math.log(g / q) + (g < 1 ? (1 - g) * Math.log((1 - g) / (1 - q)) : 0);
  }

  // gamma of the Cactus target: what the drafted token is lifted to (Cor 5, or the exact root of Thm 2)
  function lifted(q, delta, solver) {
    if (q <= 0 || q >= 1) return q;
    if (solver !== "exact") return Math.min(1, q + Math.sqrt(2 * delta * q * (1 - q)));
    if (-Math.log(q) <= delta) return 1;
    let low = q;
    let high = 1 - 1e-15;
    for (let i = 0; i < 60; i += 1) {
      const middle = (low + high) / 2;
      if (liftCost(q, middle) < delta) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  }

  const ACCEPT = {
    sps: (f) => strict(f),
    cactus: (f, k) => (f.draft > 0 ? Math.min(1, lifted(f.verifier, k.delta, k.solver) / f.draft) : 1),
    lenience: (f, k) => (f.draft > 0 ? Math.min(1, f.verifier / (k.factor * f.draft)) : 1),
    interpolation: (f, k) => (f.draft > 0 ? Math.min(1, (k.alpha * f.draft + (1 - k.alpha) * f.verifier) / f.draft) : 1),
    tas: (f, k) => (f.verifier > Math.min(k.epsilon, k.alpha * Math.exp(-f.entropy)) ? 1 : 0),
    top_k: (f, k) => (f.rank <= k.k && f.verifier > 0 ? 1 : 0),
    fuzzy: (f, k) => (f.js < k.threshold ? 1 : strict(f)),
    cascade_opt: (f, k) => (f.verifierMax - k.alpha * f.tv - f.draftMax > ROUNDING ? strict(f) : 1),
    cascade_token: (f, k) => (f.rank === 1 || f.verifier >= (1 - k.alpha) * f.verifierMax ? 1 : null),
    exact_match: (f) => (f.rank === 1 ? 1 : 0),
    sampler_match: (f) => clip(f.verifier),
  };

  // The chance that the token is kept, or null where these numbers do not decide it.
  function accept(rule, facts, knobs) {
    const value = ACCEPT[rule] ? ACCEPT[rule](facts, knobs || {}) : null;
    return value === null || Number.isNaN(value) ? null : value;
  }

  const within = (flip, k) => flip === 0 || k.budget > flip; // 0: kept even by a strict check
  const BEYOND = { mentored: within, cactus_law: within, cascade_token: (flip, k) => k.alpha < flip };

  // Whether the rule that ran there would keep the token with the same u, or null where that is not decided.
  function keeps(rule, facts, knobs) {
    const phi = accept(rule, facts, knobs);
    if (phi !== null) return facts.uniform < phi;
    return BEYOND[rule] && typeof facts.flip === "number" ? BEYOND[rule](facts.flip, knobs) : null;
  }

  // The smallest change of the rule's main knob that keeps the token with the same u.
  // {knob, value, keeps: "from" | "up to" | "below"} or null when no value does or none is needed.
  const FLIP = {
    cactus(f) {
      if (f.verifier <= 0 || f.verifier >= 1) return null;
      const missing = Math.max(0, f.uniform * f.draft - f.verifier);
      return { knob: "delta", value: (missing * missing) / (2 * f.verifier * (1 - f.verifier)), keeps: "from" };
    },
    lenience: (f) => (f.verifier > 0 ? { knob: "factor", value: Math.min(1, f.verifier / Math.max(f.uniform * f.draft, 1e-300)), keeps: "up to" } : null),
    interpolation(f) {
      if (f.draft <= f.verifier || f.uniform * f.draft <= f.verifier) return { knob: "alpha", value: 0, keeps: "from" };
      return { knob: "alpha", value: (f.uniform * f.draft - f.verifier) / (f.draft - f.verifier), keeps: "from" };
    },
    tas: (f) => ({ knob: "epsilon", value: f.verifier, keeps: "below" }),
    top_k: (f) => (Number.isFinite(f.rank) ? { knob: "k", value: f.rank, keeps: "from" } : null),
    fuzzy: (f) => ({ knob: "threshold", value: f.js, keeps: "above" }),
    mentored: (f) => (Number.isFinite(f.flip) ? { knob: "budget", value: f.flip, keeps: "above" } : null),
    cactus_law: (f) => (Number.isFinite(f.flip) ? { knob: "budget", value: f.flip, keeps: "above" } : null),
    cascade_token: (f) => (f.verifier > 0 ? { knob: "alpha", value: Math.max(0, 1 - f.verifier / f.verifierMax), keeps: "from" } : null),
  };

  function flip(rule, facts, knobs) {
    if (!FLIP[rule]) return null;
    if (rule === "cactus" && knobs && knobs.solver === "exact") {
      const need = facts.uniform * facts.draft;
      if (facts.verifier <= 0 || facts.verifier >= 1) return null;
      if (need <= facts.verifier) return { knob: "delta", value: 0, keeps: "from" };
      return { knob: "delta", value: liftCost(facts.verifier, Math.min(need, 1 - 1e-15)), keeps: "from" };
    }
    if (rule === "tas" && facts.verifier > (knobs?.alpha ?? 0) * Math.exp(-facts.entropy)) return { knob: "epsilon", value: null, keeps: "always" };
    return FLIP[rule](facts);
  }

  // Where the rule's acceptance reaches 1: for a draft probability p, the verifier probability q. null: not a line in (p, q).
  function contour(rule, knobs, p) {
    switch (rule) {
      case "sps": return p;
      case "lenience": return Math.min(1, knobs.factor * p);
      case "tas": return knobs.epsilon;
      case "interpolation": return p;
      case "cactus": {
        let low = 1e-12;
        let high = p;
        for (let i = 0; i < 60; i += 1) {
          const middle = Math.sqrt(low * high);
          if (lifted(middle, knobs.delta, knobs.solver) >= p) high = middle;
          else low = middle;
        }
        return high;
      }
      default: return null;
    }
  }

  // A lane's judged tokens under other knobs: key -> {fate}. `first` is the key of the first changed fate.
  // What follows that token never happened: it is counterfactual.
  function whatIf(run, lane, knobs) {
    const changed = new Map();
    let first = null;
    lane.tokens.forEach((token) => {
      if (token.judged < 0 || token.fate === "discarded") return;
      const kept = keeps(lane.rule, sv.store.detail(run, token).facts, knobs);
      if (kept === null) return;
      const was = token.fate !== "rejected";
      const fate = kept ? (token.uniform >= token.strict && !lane.lossless ? "relaxed" : "accepted") : "rejected";
      changed.set(token.key, { fate });
      if (kept !== was && first === null) first = token.key;
    });
    return { changed, first };
  }

  const over = (nats, delta) => nats > delta * 1.0001 + 1e-6; // by more than the rounding of what a trace holds

  // A budget on one token's target against what was spent at a judged token: by the target as it ran, by that of each
  // solver, and by the whole step's output law. null for a rule without such a budget.
  function spending(lane, facts) {
    const { delta } = lane.knobs;
    if (typeof delta !== "number") return null;
    const cost = (solver) => liftCost(facts.verifier, lifted(facts.verifier, delta, solver));
    const { klTarget: target, klOutput: law } = facts;
    return { delta, target, law, taylor: cost("taylor"), exact: cost("exact"), targetOver: over(target, delta), lawOver: over(law, delta) };
  }

  // The same over some judged tokens of a lane: counts, means, and the most times the law cost the budget.
  function spent(run, lane, tokens) {
    const found = tokens.filter((token) => token.judged >= 0 && token.fate !== "discarded").map((token) => spending(lane, sv.store.detail(run, token).facts));
    if (!found.length || !found[0]) return null;
    const mean = (name) => found.reduce((total, one) => total + one[name], 0) / found.length;
    const count = (name) => found.filter((one) => one[name]).length;
    return {
      judged: found.length, delta: found[0].delta, lawOver: count("lawOver"), targetOver: count("targetOver"),
      worst: found[0].delta > 0 ? Math.max(...found.map((one) => one.law)) / found[0].delta : null, target: mean("target"), taylor: mean("taylor"), exact: mean("exact"), law: mean("law"),
    };
  }

  // Whether a trace holds what it takes to judge a lane again; runs recorded before flip points were lack them for some rules.
  const canRejudge = (lane) => (lane.rule in BEYOND ? lane.rounds.some(({ given }) => given.judged.flip) : lane.rule in ACCEPT);

  sv.rules = { accept, keeps, flip, contour, whatIf, spending, spent, strict, lifted, canRejudge };
})(typeof window === "undefined" ? globalThis : window);
