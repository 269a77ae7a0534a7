import assert from "node:assert/strict";
import { test } from "node:test";

import { breaksOff } from "specviz/core/prompts.js";

test("a prompt that breaks off within a sentence is told from a message", () => {
  const off = ["The capital of France is", "Once upon a time there was a ", "She opened the door and"];
  const whole = ["Why is the sky blue?", "Write a haiku about autumn", "Bonjour !", "", "What is 17 + 25?", "Say: is."];
  assert.deepEqual(off.map(breaksOff), [true, true, true]);
  assert.deepEqual(
    whole.map(breaksOff),
    whole.map(() => false),
  );
});
