// The pairs of models on offer, and which of them made a run. A pair goes by its name.
import { boot } from "specviz/core/boot.js";

export const offered = () => boot.pairs;

// The name of the pair on offer that made a run; null if none of them did.
/** @param {TraceData} trace */
export function made(trace) {
  const id = trace.models.verifier.id.replace(/^shipped\//, "small/"); // as it was called in older traces
  return offered().find(({ name }) => id === `${name}/verifier`)?.name ?? null;
}

// The pair that links mean which name none: the only one there was.
export const older = () => offered().find(({ name }) => name === "small")?.name ?? null;
