// The twin of exact_match.py.
specviz.twin("exact_match", ({ favourite }) => ({
  stroke: ["ink3", 1.25, "7 3", "triangle-up", "longdash"],
  law(verifier) {
    const best = favourite(verifier);
    return { accept: best, target: null, residual: () => best };
  },
  accept: (facts) => (facts.rank === 1 ? 1 : 0),
}));
