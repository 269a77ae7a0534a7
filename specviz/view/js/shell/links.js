// Links: what they say, and whether a recorded run is what one asks for. Pure but for the address.
import { boot, defaults } from "specviz/core/boot.js";
import { decode } from "specviz/core/codes.js";
import * as continued from "specviz/core/continued.js";
import { readable } from "specviz/core/costs.js";
import * as drafters from "specviz/core/drafters.js";
import * as pairs from "specviz/core/pairs.js";
import { MAX_LANES, state } from "specviz/core/state.js";
import * as store from "specviz/core/store.js";

/** @type {(keyof Sampling)[]} */
const SAMPLED = ["temperature", "top_k", "top_p"];

/** @param {unknown} value */
const plain = (value) => ["string", "number"].includes(typeof value);

// Whether something is given as a drafter of which not all can be read.
/** @param {any} value */
function odd(value) {
  const read = value && drafters.readable(value);
  return Boolean(value) && (!read || Object.entries(value.knobs || {}).some(([name, one]) => read.knobs[name] !== one));
}

// The address of a trace that the page's own address asks for, or null. Throws a sentence for one that no page can fetch.
/** @param {string} hash */
export function traceAt(hash) {
  const found = /[#&]trace=([^&]*)/.exec(hash);
  if (!found) return null;
  try {
    const url = new URL(decodeURIComponent(found[1]), globalThis.location?.href);
    if (/^https?:$/.test(url.protocol)) return url;
  } catch {
    /* said below */
  }
  throw new Error("The address of a trace in this link is not one of the web (http or https), so it was ignored.");
}

// {form, columns, continued, pick, at, ignored} from the address; `at` is the playhead as a share of the run, null
// without one; `ignored` names what is not understood. Throws a sentence for garbage.
/**
 * @param {string} hash
 * @returns {Wanted | null}
 */
export function read(hash) {
  const found = /[#&]run=([^&]*)/.exec(hash);
  if (!found) return null;
  let value;
  try {
    value = decode(found[1]);
  } catch {
    throw new Error("This link is damaged, so its settings were ignored.");
  }
  if (
    !value ||
    value.v !== 1 ||
    typeof value.prompt !== "string" ||
    !Array.isArray(value.lanes) ||
    !value.lanes.length ||
    value.lanes.length > MAX_LANES
  )
    throw new Error("This link was made by another version, so its settings were ignored.");
  const { pick, at = null, v, lanes, costs = null, continued: origin = null, drafter, ...form } = value;
  const damaged =
    (origin && !continued.readable(origin)) || (at !== null && !(typeof at === "number" && at >= 0 && at <= 1));
  if (damaged) throw new Error("This link is damaged, so its settings were ignored.");
  const known = boot.rules;
  /** @type {string[]} */
  const ignored = [];
  /** @type {Column[]} */
  const columns = lanes.map((/** @type {any} of a stranger's making */ lane) => {
    const rule = lane && (lane.rule === null ? "plain" : lane.rule);
    if (typeof rule !== "string" || !Object.hasOwn(known, rule))
      throw new Error("This link names a rule that does not exist here, so its settings were ignored.");
    const knobs = defaults(rule);
    const given = lane.knobs && typeof lane.knobs === "object" ? lane.knobs : {};
    Object.entries(given).forEach(([name, value]) => {
      if (Object.hasOwn(knobs, name) && plain(value)) knobs[name] = value;
      else ignored.push(`${name} of ${rule}`);
    });
    if (odd(lane.drafter)) ignored.push(`drafter of ${rule}`);
    return { rule, knobs, drafter: rule === "plain" ? null : drafters.readable(lane.drafter), from: null };
  });
  /** @type {Wanted["form"]} */
  const clean = {};
  Object.entries(form).forEach(([name, value]) => {
    if (Object.hasOwn(state.form, name) && (plain(value) || value === null)) clean[name] = value;
    else ignored.push(name);
  });
  if (odd(drafter)) ignored.push("drafter");
  const picked = Array.isArray(pick) && pick.length === 2 && pick.every(Number.isInteger);
  if (pick !== undefined && !picked) ignored.push("selection");
  const set = readable(costs);
  if (costs !== null && !set) ignored.push("costs");
  clean.pair = clean.pair ?? pairs.older(); // links from before there were several
  const styles = pairs.offered().find((pair) => pair.name === clean.pair)?.styles;
  if (clean.style && styles && !Object.hasOwn(styles, clean.style)) {
    clean.style = null;
    ignored.push("style");
  }
  clean.drafter = drafters.readable(drafter) ?? drafters.distinct(columns)[0] ?? drafters.parse();
  if (!drafter)
    columns.forEach((column) => {
      if (column.drafter && drafters.same(column.drafter, clean.drafter)) column.drafter = null;
    });
  return {
    form: clean,
    columns,
    continued: origin,
    ...(set ? { costs: set } : {}),
    pick: picked ? [pick[0], pick[1]] : null,
    at,
    ignored,
  };
}

// Whether a trace is the run these settings ask for.
/**
 * @param {TraceData} trace
 * @param {Wanted} wanted
 */
export function matches(trace, wanted) {
  const form = wanted.form;
  if (wanted.continued || trace.continued) return false;
  /**
   * @param {LaneData} lane
   * @param {Column} column
   */
  const drafted = (lane, column) =>
    lane.draft_length === form.draft_length &&
    drafters.same(drafters.parse(lane.drafter), column.drafter ?? form.drafter);
  const same =
    trace.prompt === form.prompt &&
    (trace.style || null) === (form.style || null) &&
    (trace.system ?? null) === (form.system ?? null) &&
    pairs.made(trace) === form.pair &&
    trace.seed === form.seed &&
    trace.max_new_tokens === form.max_new_tokens;
  const lanes = wanted.columns.map((column) =>
    trace.lanes.findIndex(
      (lane) =>
        store.ruleKey(lane.rule) === column.rule &&
        (!lane.rule || drafted(lane, column)) &&
        Object.entries(lane.knobs || {}).every(([name, value]) => String(value) === String(column.knobs[name])),
    ),
  );
  if (!same || lanes.includes(-1) || !SAMPLED.every((name) => trace.sampling[name] === form[name])) return false;
  wanted.columns.forEach((column, i) => {
    column.from = lanes[i];
  });
  return true;
}
