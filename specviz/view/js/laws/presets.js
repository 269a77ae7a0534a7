// Pairs of small distributions that show something, for the playground and the pages of rules.

// The rules that a reader meets first: strict, a budget, a bar, and the best there can be.
export const FIRST = ["sps", "cactus", "tas", "mentored"];

// name, tokens [name, draft, verifier], drafted token, knobs per rule (a list gives a row each), rule in focus [name,
// row]
export const PRESETS = {
  worked: [
    "Worked example",
    [
      ["blue", 0.8, 0.35],
      ["clear", 0.06, 0.31],
      ["grey", 0.09, 0.04],
      ["dark", 0.03, 0.2],
      ["red", 0.02, 0.1],
    ],
    0,
    { cactus: [{ delta: 1 }, { delta: 0.21 }, { delta: 0.05 }] },
    ["cactus", 1],
  ],
  typical: [
    "Typical stricter than strict",
    [
      ["the", 0.42, 0.62],
      ["a", 0.2, 0.054],
      ["his", 0.12, 0.054],
      ["her", 0.08, 0.054],
      ["my", 0.06, 0.054],
      ["no", 0.05, 0.054],
      ["its", 0.04, 0.055],
      ["one", 0.03, 0.055],
    ],
    2,
    { cactus: [{ delta: 1 }, { delta: 0.01 }] },
    ["tas", 0],
  ],
  confident: [
    "Confident verifier",
    [
      ["Paris", 0.55, 0.96],
      ["Lyon", 0.25, 0.015],
      ["France", 0.12, 0.015],
      ["Nice", 0.08, 0.01],
    ],
    1,
    { cactus: [{ delta: 1 }, { delta: 0.1 }] },
    ["cactus", 0],
  ],
  flat: [
    "Flat verifier",
    [
      ["one", 0.34, 0.13],
      ["two", 0.22, 0.13],
      ["three", 0.14, 0.13],
      ["four", 0.1, 0.13],
      ["five", 0.08, 0.12],
      ["six", 0.06, 0.12],
      ["seven", 0.04, 0.12],
      ["eight", 0.02, 0.12],
    ],
    0,
    { cactus: [{ delta: 1 }, { delta: 0.05 }, { delta: 0.005 }] },
    ["cactus", 1],
  ],
  two: [
    "Two answers are fine",
    [
      ["blue", 0.5, 0.4],
      ["grey", 0.08, 0.34],
      ["dark", 0.24, 0.12],
      ["clear", 0.03, 0.09],
      ["red", 0.12, 0.03],
      ["empty", 0.03, 0.02],
    ],
    2,
    {
      cactus: [{ delta: 1 }, { delta: 0.1 }, { delta: 0.03 }, { delta: 0.01 }],
      mentored: [{ budget: 0.1 }],
      top_k: [{ k: 3 }],
    },
    ["cactus", 2],
  ],
};

// Of several candidates for one place: name, tokens [name, draft, verifier], how many candidates, how they are drawn, and
// values of knobs, by the knob.
export const SETS = {
  picked: [
    "Picked siblings accept less than one sampled draft",
    [
      ["a", 0.24, 0.2],
      ["the", 0.19, 0.21],
      ["his", 0.15, 0.12],
      ["her", 0.12, 0.15],
      ["my", 0.1, 0.09],
      ["no", 0.09, 0.11],
      ["its", 0.06, 0.07],
      ["one", 0.05, 0.05],
    ],
    2,
    "picked",
    { delta: 0.1, solver: "exact" },
  ],
  without: [
    "Without replacement",
    [
      ["blue", 0.72, 0.34],
      ["clear", 0.12, 0.3],
      ["grey", 0.08, 0.16],
      ["dark", 0.05, 0.14],
      ["red", 0.03, 0.06],
    ],
    3,
    "without_replacement",
    { delta: 0.1, solver: "exact" },
  ],
  greedy: [
    "Greedy meets the optimum",
    [
      ["Paris", 0.4, 0.5],
      ["Lyon", 0.25, 0.08],
      ["Nice", 0.15, 0.2],
      ["Lille", 0.12, 0.05],
      ["Brest", 0.08, 0.17],
    ],
    2,
    "greedy",
    { delta: 0.1, solver: "exact" },
  ],
  promise: [
    "Cactus on a set keeps its promise",
    [
      ["blue", 0.5, 0.3],
      ["grey", 0.2, 0.18],
      ["dark", 0.14, 0.24],
      ["clear", 0.09, 0.16],
      ["red", 0.07, 0.12],
    ],
    2,
    "picked",
    { delta: 0.1, solver: "exact" },
  ],
};
