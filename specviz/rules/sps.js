// The twin of sps.py. What a twin may say stands in view/js/rules.js.
specviz.twin("sps", ({ aimed, strict }) => ({
  stroke: ["ink3", 1.5, "1.5 3", "circle-open", "dot"],
  pairwise: true,
  law: (verifier, draft) => aimed(verifier, draft),
  accept: (facts) => strict(facts),
  contour: (knobs, draft) => draft,
}));
