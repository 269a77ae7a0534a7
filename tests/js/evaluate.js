// For tests in Python: takes lines [expression, argument] of JSON and answers each with {value} or {error}. An expression
// sees `specviz`, see pure.js; one that is a function is called with the argument. Infinity comes as {"$number": "Infinity"}.
import { createInterface } from "node:readline";

import { specviz } from "./pure.js";

globalThis.specviz = specviz;
const plain = (_, value) => (typeof value === "number" && !Number.isFinite(value) ? { $number: String(value) } : value);

async function answer(line) {
  try {
    const [expression, argument] = JSON.parse(line);
    const value = (0, eval)(`(${expression})`);
    return { value: (await (typeof value === "function" ? value(argument) : value)) ?? null };
  } catch (error) {
    return { error: error.stack ?? String(error) };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(line), plain)}\n`);
}
