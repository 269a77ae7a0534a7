// What Python says before the page starts: rules, drafters, pairs of models and figures in words, examples, and which
// twins and plots there are. In a replay also the run itself, as Python wrote it.
/** @param {string} id */
export const written = (id) => globalThis.document?.getElementById(id)?.textContent ?? null;

/** @type {Boot} */
export const boot = {
  version: "",
  rules: {},
  drafters: {},
  definitions: {},
  settings: [],
  pairs: [],
  prompts: [],
  exports: [],
  twins: [],
  sets: {},
  plots: [],
  plotly: "",
  openings: { lanes: [], nextLanes: [], nextLines: [], unfolded: [], presets: {}, sets: {} },
  sweep: null,
  ...JSON.parse(written("specviz-boot") ?? "{}"),
};

// The trace of a replay, a JSON text; null on the page, which has a server.
export const offline = written("specviz-run");

// The knobs of a rule at their defaults.
/**
 * @param {string} rule
 * @returns {Knobs}
 */
export function defaults(rule) {
  return Object.fromEntries((boot.rules[rule]?.knobs || []).map((knob) => [knob.name, knob.default]));
}
