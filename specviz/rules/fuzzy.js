// The twin of fuzzy.py.
specviz.twin("fuzzy", ({ aimed, js, strict, short }) => ({
  symbols: { threshold: "τ" },
  stroke: ["ink3", 1.25, "5 2 1 2", "diamond", "dashdot"],
  law: (verifier, draft, { threshold }) => (
    aimed(js(draft, verifier) < threshold ? draft : verifier, draft)),
  accept: (facts, { threshold }) => (facts.js < threshold ? 1 : strict(facts)),
  flip: (facts) => (short(facts) < 0 ? 0 : facts.js),
}));
