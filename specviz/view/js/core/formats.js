// How numbers and texts are said. Pure.

// Symbols of knobs; each rule brings those of its own, see laws/twins.js.
/** @type {Record<string, string>} */
export const SYMBOLS = {};

/** @param {string} knob */
export const symbol = (knob) => SYMBOLS[knob] || knob;

// Numbers as JSON holds them, infinities as words.
/**
 * @param {Num} value
 * @returns {number | null | undefined}
 */
export function finite(value) {
  if (value === "Infinity") return Infinity;
  if (value === "-Infinity") return -Infinity;
  return /** @type {number | null | undefined} */ (value);
}

/**
 * @param {number | string} value
 * @param {number} digits
 */
export function number(value, digits = 3) {
  return typeof value === "number" ? String(+value.toPrecision(digits)) : String(value);
}

// "cactus δ 1": the name and the knob that matters most
/**
 * @param {string} name
 * @param {Knobs} knobs
 */
export function label(name, knobs) {
  const first = Object.entries(knobs || {}).find(([, value]) => typeof value === "number");
  return first ? `${name} ${symbol(first[0])} ${number(first[1])}` : name;
}

const BIDI = /[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/;

// A token's text with what cannot be seen made visible: ␀ for NUL, ⏎ for a new line, ⟨202E⟩ for a direction mark.
/** @param {string} text */
export function visible(text) {
  let out = "";
  for (const char of text) {
    const code = Number(char.codePointAt(0));
    if (char === "\n") out += "⏎";
    else if (char === "\t") out += "⇥";
    else if (code < 32) out += String.fromCodePoint(0x2400 + code);
    else if (code === 127) out += "␡";
    else if ((code > 127 && code < 160) || BIDI.test(char) || (code >= 0xd800 && code <= 0xdfff))
      out += `⟨${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
    else out += char;
  }
  return out;
}

// For tables and cards: a leading space shows as an open box.
/** @param {string} text */
export function named(text) {
  if (text === "") return "∅";
  return visible(text).replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length));
}

// A text whose lines are lines: the mark of a new line stands before it. Blanks behind one are indentation.
/** @param {string} text */
export const lined = (text) => text.split("\n").map(visible).join("⏎\n");

/**
 * @param {number | null | undefined} value
 * @param {number | null} digits
 */
export function percent(value, digits = null) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const scaled = value * 100;
  if (scaled === 0) return "0";
  if (digits !== null) return scaled.toFixed(digits);
  if (scaled >= 99.95) return "100";
  if (scaled >= 10) return scaled.toFixed(0);
  if (scaled >= 1) return scaled.toFixed(1);
  if (scaled >= 0.001) return scaled.toPrecision(1);
  return "≈0";
}

/**
 * @param {number | null | undefined} value
 * @param {number} digits
 */
export function fixed(value, digits = 2) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  return Number.isFinite(value) ? value.toFixed(digits) : "∞";
}

// A probability, not rounded to zero.
/** @param {number | null | undefined} value */
export function prob(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  return value > 0 && value < 0.005 ? (value < 0.0005 ? "≈0" : value.toFixed(3)) : value.toFixed(2);
}

// Divergences: enough digits to tell 0.0002 from 0.
/** @param {number | null | undefined} value */
export function nats(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return "∞";
  if (Math.abs(value) < 5e-6) return "0";
  if (value < 0.0001) return value.toExponential(0).replace("e-", "e−");
  if (value < 0.01) return value.toFixed(4);
  return value.toFixed(3);
}

/** @param {number} value */
export function seconds(value) {
  if (value < 1) return [`${(value * 1000).toFixed(value < 0.1 ? 1 : 0)}`, "ms"];
  return [value.toFixed(value < 10 ? 2 : 1), "s"];
}

/** @param {number} value */
export function count(value) {
  return value >= 1e9
    ? `${(value / 1e9).toFixed(1)} B`
    : value >= 1e5
      ? `${(value / 1e6).toFixed(1)} M`
      : String(value);
}

// A sampling in words; what cuts nothing off is not said.
/** @param {Sampling} sampling */
export function sampled({ temperature, top_k, top_p }) {
  const cuts = [top_k ? `top-k ${top_k}` : "", top_p < 1 ? `top-p ${top_p}` : ""];
  return [`temperature ${temperature}`, ...cuts].filter(Boolean).join(", ");
}
