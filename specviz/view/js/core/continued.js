// Runs that go on from a place in another: the trace says continued = {prompt_length, position, forced}, and the tokens
// before that place were given to every lane. See specviz/record/trace.py.
import { joined } from "specviz/core/pieces.js";

// How many of prompt_tokens are the prompt's own.
/** @param {TraceData} trace */
export const promptLength = (trace) => trace.continued?.prompt_length ?? trace.prompt_tokens.length;

// The tokens that were given to every lane: [{id, text, special, forced}].
/** @param {TraceData} trace */
export function given(trace) {
  const { continued, prompt_tokens: tokens } = trace;
  const first = promptLength(trace);
  const special = new Set(trace.special);
  return tokens.slice(first).map((id, i) => ({
    id,
    text: trace.pieces[id] ?? "",
    special: special.has(id),
    forced: Number.isInteger(continued?.forced) && first + i === continued?.position,
  }));
}

// Their text; nothing where there is no run.
/** @param {Run | null} run */
export const givenText = (run) => (run ? joined(given(run.trace)).join("") : "");

// Of the models that wrote a run; null where there was no draft model.
/** @param {TraceData} trace */
export const revisions = ({ models }) => [models.draft?.revision ?? null, models.verifier.revision];

// Where a run went on, as a link holds it; null if it began at its prompt.
/** @param {Run | null} run */
export function origin(run) {
  const trace = run?.trace;
  if (!trace?.continued) return null;
  const { position, forced = null } = trace.continued;
  const before = trace.prompt_tokens.slice(promptLength(trace), position);
  return { given: before, forced, position, revisions: revisions(trace) };
}

// Whether what a link holds is such a place.
/** @param {any} value */
export function readable(value) {
  const whole = Number.isInteger;
  const numbers = value && Array.isArray(value.given) && value.given.every(whole) && whole(value.position);
  return numbers && (value.forced === null || whole(value.forced)) && Array.isArray(value.revisions);
}
