// The same lane on a server people deploy: its options, where it has the lane's rule and its drafter. Pure.
import { boot } from "specviz/core/boot.js";
import * as drafters from "specviz/core/drafters.js";

const USUAL = 4; // tokens, where the page chooses the length by itself

// Settings with a value, each in the server's way of writing it.
/**
 * @param {Record<string, number | string | null>} values
 * @param {(name: string, value: number | string | null) => string} write
 */
const written = (values, write) =>
  Object.entries(values)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => write(name, value));

// How each server is told; `rule` and `drafter` are its own options for them, as the classes say them.
/** @type {Record<string, (settings: RunRequest, rule: string, drafter: string) => string>} */
const TOLD = {
  /**
   * @param {RunRequest} request
   * @param {string} rule
   * @param {string} drafter
   */
  vLLM({ temperature, top_k, top_p, max_new_tokens, seed, draft_length }, rule, drafter) {
    const speculative = [drafter, `"num_speculative_tokens": ${draft_length}`, rule]
      .filter(Boolean)
      .join(", ")
      .replaceAll(", ", ",\n   ");
    const asked = { temperature, top_p, top_k: top_k || null, max_tokens: max_new_tokens, seed };
    const members = written(asked, (name, value) => `"${name}": ${value}`);
    return `vllm serve VERIFIER --speculative-config \\\n  '{${speculative}}'\n# and with each request: ${members.join(", ")}\n`;
  },
  /**
   * @param {RunRequest} request
   * @param {string} rule
   * @param {string} drafter
   */
  "llama.cpp"({ temperature, top_k, top_p, max_new_tokens, seed, draft_length }, rule, drafter) {
    const asked = { temp: temperature, "top-k": top_k, "top-p": top_p, "min-p": 0, seed, predict: max_new_tokens };
    const dashed = written(asked, (name, value) => `--${name} ${value}`);
    const speculative = [drafter, `--draft-max ${draft_length}`, rule].filter(Boolean).join(" ");
    return `llama-server -m VERIFIER.gguf ${speculative} \\\n    ${dashed.join(" ")}\n`;
  },
  /**
   * @param {RunRequest} request
   * @param {string} rule
   * @param {string} drafter
   */
  transformers({ temperature, top_k, top_p, max_new_tokens, draft_length }, rule, drafter) {
    const copies = !drafter.includes("assistant_model");
    const lengths = { [copies ? "prompt_lookup_num_tokens" : "num_assistant_tokens"]: draft_length };
    const asked = { temperature, top_k, top_p, max_new_tokens };
    const [drafted, sampled] = [lengths, asked].map((values) => written(values, (name, value) => `${name}=${value}`));
    const lines = [drafter, ...drafted, rule, ...sampled].filter(Boolean).join(", ").split(", ");
    return `verifier.generate(\n    **inputs,\n    ${lines.join(",\n    ")},\n)\n`;
  },
};

// The options of a class for a server, the values of its knobs put in: {knob}, or {knob?value=word;value=word} where a value has
// a word of its own there. Undefined where the server has none, or nothing for such a value.
/**
 * @param {Partial<RuleWords & DrafterWords> | undefined} words
 * @param {Knobs | undefined} knobs
 * @param {string} server
 */
function options(words, knobs, server) {
  const values = Object.fromEntries(
    (words?.knobs ?? []).map((knob) => [knob.name, knobs?.[knob.name] ?? knob.default]),
  );
  let known = true;
  const text = words?.servers?.[server]?.replace(
    /\{(\w+)(?:\?([^}]*))?\}/g,
    (_, /** @type {string} */ name, /** @type {string | undefined} */ cases) => {
      if (cases === undefined) return String(values[name]);
      const word = cases.split(";").find((one) => one.startsWith(`${values[name]}=`));
      known &&= word !== undefined;
      return word?.slice(word.indexOf("=") + 1) ?? "";
    },
  );
  return known ? text : undefined;
}

// [{server, text, missing: [name]}] for the settings of the page (see controls.settings): what a server is told for each lane
// that it can do, and the names of those that it cannot. Lanes without a rule are left out.
/** @param {RunRequest} settings */
export function servers(settings) {
  const draft_length = typeof settings.draft_length === "number" ? settings.draft_length : USUAL;
  const lanes = settings.lanes.filter((lane) => lane.rule);
  return Object.entries(TOLD).map(([server, told]) => {
    const rows = lanes.map((lane) => {
      const chosen = lane.drafter ?? settings.drafter ?? drafters.parse();
      const rule = options(boot.rules[lane.rule ?? ""], lane.knobs, server);
      const drafter = options(boot.drafters[chosen.name], chosen.knobs, server);
      const known = rule !== undefined && drafter !== undefined;
      const name = `${lane.rule} with ${chosen.name}`;
      return { name, text: known ? told({ ...settings, draft_length }, rule, drafter) : null };
    });
    const texts = rows.filter((row) => row.text !== null).map((row) => row.text);
    return {
      server,
      text: [...new Set(texts)].join("\n"),
      missing: rows.filter((row) => row.text === null).map((row) => row.name),
    };
  });
}
