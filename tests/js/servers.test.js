import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { specviz } from "./pure.js";

const { boot, servers } = specviz;
const ASKED = {
  temperature: 0.6,
  top_k: 20,
  top_p: 0.95,
  draft_length: "auto",
  max_new_tokens: 50,
  seed: 3,
  drafter: { name: "copy", knobs: { longest: 5 } },
};

beforeEach(() => {
  Object.assign(boot, {
    rules: {
      strict: { knobs: [], servers: { vLLM: '"method_of_rule": "strict"', transformers: "do_sample=True" } },
      ours: { knobs: [{ name: "delta", default: 1 }], servers: {} },
      match: { knobs: [], servers: { "llama.cpp": "" } },
    },
    drafters: {
      copy: {
        knobs: [{ name: "longest", default: 3 }],
        servers: { vLLM: '"method": "copy", "max": {longest}', transformers: "size={longest}" },
      },
      small: {
        knobs: [{ name: "tokens", default: "drawn" }],
        servers: {
          vLLM: '"sampled": "{tokens?drawn=yes;chosen=no}"',
          "llama.cpp": "-md DRAFT.gguf{tokens?chosen=}",
          transformers: "assistant_model=draft",
        },
      },
    },
  });
});

test("a server is told what it can do, with the values of the knobs, and says what it cannot", () => {
  const lanes = [
    { rule: "strict", knobs: {} },
    { rule: "ours", knobs: { delta: 0.5 } },
    { rule: null, knobs: {} },
  ];
  const [vllm, llama, transformers] = servers.servers({ ...ASKED, lanes });
  assert.deepEqual(vllm.missing, ["ours with copy"]);
  const json = /'(\{.*\})'/s.exec(vllm.text)[1];
  assert.deepEqual(JSON.parse(json), { method: "copy", max: 5, num_speculative_tokens: 4, method_of_rule: "strict" });
  assert.match(vllm.text, /"temperature": 0.6, "top_p": 0.95, "top_k": 20, "max_tokens": 50, "seed": 3/);
  assert.equal(llama.text, "");
  assert.equal(llama.missing.length, 2);
  assert.match(transformers.text, /size=5,\n {4}prompt_lookup_num_tokens=4,\n {4}do_sample=True,\n {4}temperature=0.6/);
});

test("a lane's own drafter counts, and equal texts stand once", () => {
  const small = { name: "small", knobs: { tokens: "chosen" } };
  const lanes = [1, 2].map(() => ({ rule: "match", knobs: {}, drafter: small }));
  const [, llama] = servers.servers({ ...ASKED, draft_length: 7, lanes });
  assert.equal(llama.text.match(/llama-server/g).length, 1);
  assert.match(llama.text, /-md DRAFT.gguf --draft-max 7 \\\n {4}--temp 0.6 --top-k 20 --top-p 0.95 --min-p 0/);
  assert.match(
    servers.servers({ ...ASKED, lanes: [{ rule: "strict", drafter: small }] })[2].text,
    /num_assistant_tokens=4/,
  );
});

test("a value of a knob has the server's own word, or the server has nothing for it", () => {
  const lanes = (rule, knobs) => [{ rule, knobs: {}, drafter: { name: "small", knobs } }];
  const told = (rule, knobs) => servers.servers({ ...ASKED, lanes: lanes(rule, knobs) }).map(({ text }) => text);
  assert.match(told("strict", {})[0], /"sampled": "yes"/);
  assert.match(told("strict", { tokens: "chosen" })[0], /"sampled": "no"/);
  assert.equal(told("match", { tokens: "drawn" })[1], "");
});
