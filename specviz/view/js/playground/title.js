// What a row is called: its rule and its main knob.
import { symbol } from "specviz/core/formats.js";
import * as play from "specviz/playground/play.js";

/** @typedef {Pick<import("specviz/playground/play.js").Setting, "rule" | "knobs">} Setting */

/** @param {number | string} value */
const number = (value) => String(+Number(value).toPrecision(3)).replace("e-", "e−");

// "δ 0.1", or the number alone where the symbol is but a letter
/** @param {Setting} row */
export function knobWords({ rule, knobs }) {
  const knob = play.mainKnob(rule);
  const sign = knob ? symbol(knob.name) : "";
  return knob ? `${/^[a-z]$/.test(sign) ? "" : `${sign} `}${number(knobs[knob.name])}` : "";
}

/** @param {Setting} row */
export const title = (row) => [row.rule, knobWords(row)].filter(Boolean).join(" ");
