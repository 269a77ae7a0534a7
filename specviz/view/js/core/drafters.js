// Drafters as the page speaks of them: {name, knobs}.
import { boot } from "specviz/core/boot.js";
import { number } from "specviz/core/formats.js";

const DRAFTER = "model"; // of traces and links from before there were others

// {name, knobs} from a text such as "ngram:longest=3"; of a drafter that is known every knob.
/** @returns {Drafter} */
export function parse(spec = DRAFTER) {
  const [name] = spec.split(":", 1);
  const rest = spec.slice(name.length + 1);
  /** @type {Drafter["knobs"]} */
  const knobs = {};
  rest
    .split(",")
    .filter(Boolean)
    .forEach((part) => {
      const [knob, value] = part.split("=");
      knobs[knob] = Number.isFinite(Number(value)) ? Number(value) : value;
    });
  return Object.hasOwn(known() ?? {}, name) ? complete({ name, knobs }) : { name, knobs };
}

export const known = () => boot.drafters;
/** @type {(name: string) => DrafterWords} */
export const words = (name) => (Object.hasOwn(known(), name) ? known()[name] : { summary: "", source: "", knobs: [] });
/** @param {Drafter} drafter */
export const copy = ({ name, knobs }) => ({ name, knobs: { ...knobs } });
/** @param {Drafter} drafter */
export const usual = (drafter) => same(drafter, parse());

// "ngram, longest 3": the first knob if it is a number, and those that are not at their defaults.
/** @param {Drafter} drafter */
export function label({ name, knobs }) {
  const standard = complete({ name, knobs: {} }).knobs;
  const said = Object.entries(knobs).filter(
    ([knob, value], at) => (at === 0 && typeof value === "number") || value !== standard[knob],
  );
  return [name, ...said.map(([knob, value]) => `${knob} ${number(value)}`)].join(", ");
}

// The drafter with every knob, those that are not given at their defaults.
/**
 * @param {Drafter} drafter
 * @returns {Drafter}
 */
export function complete({ name, knobs }) {
  const all = words(name).knobs.map((knob) => [knob.name, knobs[knob.name] ?? knob.default]);
  return { name, knobs: Object.fromEntries(all) };
}

/**
 * @param {Drafter} one
 * @param {Drafter} other
 */
export const same = (one, other) => JSON.stringify(complete(one)) === JSON.stringify(complete(other));

// The drafters of these lanes, each once.
/** @param {{ drafter?: Drafter | null }[]} lanes */
export function distinct(lanes) {
  const all = lanes.flatMap((lane) => lane.drafter ?? []);
  return all.filter((one, i) => all.findIndex((other) => same(one, other)) === i);
}

// What a drafter needs that was trained on the verifier's states, by role: a head, an exit, look-ahead tokens.
/**
 * @param {string} name
 * @returns {("head" | "exit" | "lookahead")[]}
 */
export const trained = (name) =>
  /** @type {const} */ (["head", "exit", "lookahead"]).filter((role) => words(name)[`uses_${role}`]);

// As many of these drafters (at most `count`) as are least alike, the first of them first: what asks a draft model, what
// asks a head, and what asks no model at all, before two of a kind.
/**
 * @param {string[]} names
 * @param {number} count
 */
export function unlike(names, count) {
  /** @param {string} name */
  const kind = (name) => `${Boolean(words(name).uses_draft_model)} ${trained(name)}`;
  /** @param {string} name */
  const alike = (name) => names.slice(0, names.indexOf(name)).filter((one) => kind(one) === kind(name)).length;
  return [...names].sort((one, other) => alike(one) - alike(other)).slice(0, count);
}

// What of a link is a drafter; null if it is none. Throws if it is not known here.
/**
 * @param {any} value
 * @returns {Drafter | null}
 */
export function readable(value) {
  if (!value || typeof value.name !== "string") return null;
  if (!Object.hasOwn(known(), value.name)) {
    throw new Error("This link names a drafter that does not exist here, so its settings were ignored.");
  }
  const knobs = Object.entries(value.knobs || {}).filter(([, one]) => ["number", "string"].includes(typeof one));
  return complete({ name: value.name, knobs: Object.fromEntries(knobs) });
}
