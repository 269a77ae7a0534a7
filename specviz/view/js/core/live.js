// The connection to Python: what Gradio gives the component once it is mounted, and the jobs that the page asks for there.
// Whoever begins a job hears its messages, and an error of the page's own where the server takes none, or falls silent.
import { emit } from "specviz/core/events.js";

const SILENCE = 60_000; // ms; the server says something of every job far more often
const FULL = "The house is full: the server takes nothing more just now. Try again in a minute; what you see stays.";
const SILENT = "The server has not answered for a minute, so this was given up. What arrived stays.";
const LAST = ["end", "error", "answer", "verified"]; // kinds of messages behind which there are no more

/**
 * A message of a job, see specviz/ui; `run` is the job's name.
 * @typedef {{ run: string, kind: string, message?: string, field?: string, ended?: boolean, answer?: any }} Message
 * @typedef {{ hear: (message: any) => void, heard: boolean, stopped: boolean, timer?: ReturnType<typeof setTimeout> }} Job
 */

/** @type {Wire | null} */
let wired = null;
/** @type {Map<string, Job>} by name */
const jobs = new Map();

function connected() {
  if (!wired) throw new Error("The page is not connected yet.");
  return wired;
}

// {trigger, watch, props, server}, or null until Gradio has mounted the page; always null in a replay.
export const wire = () => wired;

/** @param {Wire} given */
export function connect(given) {
  wired = given;
  given.watch("value", () => {
    const { value } = given.props;
    setTimeout(() => receive(value)); // not in Gradio's own task
  });
  watchRefusals();
  emit("connected");
}

// Begins a job by an event of the page; `hear` gets its messages. Gives its name, for `stop` and `forget`.
/**
 * @param {string} event
 * @param {Record<string, unknown>} data
 * @param {(message: any) => void} hear
 */
export function begin(event, data, hear) {
  const run = Math.random().toString(36).slice(2);
  jobs.set(run, { hear, heard: false, stopped: false });
  listen(run);
  connected().trigger(event, { id: run, ...data });
  return run;
}

// Asks for the end of a job, which is still heard, but no longer while it waits.
/** @param {string} run */
export function stop(run) {
  const job = jobs.get(run);
  if (job) job.stopped = true;
  connected().trigger("stop", { id: run });
}

// Nothing more is heard of a job.
/** @param {string} run */
export function forget(run) {
  clearTimeout(jobs.get(run)?.timer);
  jobs.delete(run);
}

// A question: its `answer`, or {error, field?}, or {stopped: a sentence} after `stop`; `say` gets sentences while it is
// waited for, `part` answers that are not whole yet. `kind` as in ui/advice.py.
/**
 * @param {string} kind
 * @param {string | null} pair
 * @param {unknown} question
 * @param {(words: string) => void} say
 * @param {(answer: any) => void} part
 */
export function ask(kind, pair, question, say, part = () => {}) {
  let run = "";
  let stopped = false;
  /** @type {Promise<any>} */
  const answer = new Promise((resolve) => {
    run = begin("ask", { kind, pair, question: JSON.stringify(question) }, (message) => {
      if (message.kind === "wait") say(message.message);
      else if (message.kind === "part") part(message.answer);
      else if (message.kind === "answer") resolve(message.answer);
      else resolve(stopped ? { stopped: message.message } : { error: message.message, field: message.field });
    });
  });
  const end = () => {
    if (stopped) return;
    stopped = true;
    say("Stopping…");
    stop(run);
  };
  return { answer, stop: end };
}

// What a function of the server gives, or {error}: one that failed there gives nothing at all.
/**
 * @param {string} name
 * @param {unknown[]} given
 * @returns {Promise<any>}
 */
export async function call(name, ...given) {
  try {
    return (
      (await /** @type {any} */ (connected().server)[name](...given)) ?? { error: "The server could not do this." }
    );
  } catch {
    return { error: "The server did not answer. Is it still there?" };
  }
}

// Takes what came in, a JSON text.
/** @param {string} text */
export function receive(text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    return;
  }
  tell(message);
}

/** @param {Message} message */
function tell(message) {
  const job = jobs.get(message.run);
  if (!job) return;
  job.heard = true;
  if (LAST.includes(message.kind) || message.ended) forget(message.run);
  else listen(message.run);
  if (message.kind !== "wait" || !job.stopped) job.hear(message);
}

/**
 * @param {string} run
 * @param {string} message
 */
const failed = (run, message) => tell({ run, kind: "error", field: "prompt", message });

/** @param {string} run */
function listen(run) {
  const job = jobs.get(run);
  if (!job) return;
  clearTimeout(job.timer);
  job.timer = setTimeout(() => failed(run, SILENT), SILENCE);
}

// Gradio tells nobody when its own queue takes no more, but the browser knows.
function watchRefusals() {
  /** @param {PerformanceEntry & { responseStatus?: number }} entry */
  const refused = ({ name, responseStatus = 0 }) => name.includes("/queue/join") && responseStatus >= 400;
  new PerformanceObserver((list) => {
    if (!list.getEntries().some(refused)) return;
    for (const [run, { heard }] of [...jobs]) if (!heard) failed(run, FULL);
  }).observe({ type: "resource" });
}
