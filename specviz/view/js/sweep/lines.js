// A line of the form: a rule with the values of its knobs, as the command line says it: cactus:delta=0.1,0.3,1. Pure.
import { boot } from "specviz/core/boot.js";

/**
 * A rule with the values of its knobs: `text` holds those of the first, `words` those of each that takes words.
 * @typedef {{ rule: string, text: string, words: Record<string, string[]> }} Line
 */

/** @param {number | string} value */
const number = (value) => String(+Number(value).toPrecision(6));
/** @param {string} rule */
export const knobOf = (rule) => (boot.rules[rule]?.knobs || []).find((knob) => !knob.choices) || null;

/** @param {string} rule */
export const choicesOf = (rule) =>
  (boot.rules[rule]?.knobs || []).flatMap((knob) => (knob.choices ? [{ ...knob, choices: knob.choices }] : []));
/** @param {string} text */
const trimmed = (text) => text.split(",").map((part) => part.trim());
/**
 * @param {string} rule
 * @returns {Record<string, string[]>}
 */
export const usualWords = (rule) =>
  Object.fromEntries(choicesOf(rule).map((knob) => [knob.name, [String(knob.default)]]));

// A rule named without a value is at its default; an empty field is not.
/**
 * @param {unknown} given
 * @returns {Line}
 */
export function line(given) {
  const [, rule, rest] = /** @type {RegExpExecArray} */ (/^([^:]*):?(.*)$/s.exec(String(given)));
  const knob = knobOf(rule);
  /** @type {Map<string | undefined, string[]>} */
  const values = new Map(); // of each knob, as they are written
  let last = knob?.name ?? "";
  trimmed(rest).forEach((part) => {
    const [, name, value] = /^(\w+)\s*=\s*(.*)$/s.exec(part) ?? [null, last, part];
    last = name;
    values.set(name, [...(values.get(name) ?? []), value]);
  });
  const words = usualWords(rule);
  choicesOf(rule).forEach(({ name, choices }) => {
    const some = values.get(name);
    if (!some?.every((value) => choices.includes(value))) return;
    words[name] = choices.filter((word) => some.includes(word));
    values.delete(name);
  });
  const own = values.get(knob?.name) ?? [];
  values.delete(knob?.name);
  const others = [...values].map(([name, some]) => `${name ? `${name}=` : ""}${some.join(", ")}`);
  const text = [rest || !knob ? own.join(", ") : number(knob.default), ...others].filter(Boolean).join(", ");
  return { rule, text, words };
}

/** @param {Line} line */
export function spec({ rule, text, words }) {
  const knob = knobOf(rule);
  const chosen = choicesOf(rule)
    .filter(({ name, default: one }) => words[name].join() !== one)
    .map(({ name }) => `${name}=${words[name].join(",")}`);
  const numbers = knob ? [`${/^\s*\w+\s*=/.test(text) ? "" : `${knob.name}=`}${trimmed(text).join(",")}`] : [];
  const all = [...numbers, ...chosen].join(",");
  return all ? `${rule}:${all}` : rule;
}

// Values worth a first look at a knob.
/** @param {Knob | null} knob */
export function usual(knob) {
  if (!knob) return "";
  const { low, high } = knob;
  const middle = Number(knob.default);
  const values =
    knob.type === "int"
      ? [2, 5, 20]
      : knob.scale === "log" && middle > 0
        ? [middle / 10, middle / 3, middle, middle * 3]
        : [0.1, 0.3, 0.5];
  const fitting = values.filter(
    (value) => (low === null || value > low || (value === low && !knob.open_low)) && (high === null || value <= high),
  );
  return (fitting.length ? fitting : [middle]).map((value) => number(value.toPrecision(1))).join(", ");
}
