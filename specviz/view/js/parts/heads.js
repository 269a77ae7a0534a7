// The head of a table: a row of columns, each said in words.
import { el } from "specviz/core/dom.js";

// One that says of what `kind` its numbers are (measured, exact, estimated), and more in its `title`.
/**
 * @param {string} words
 * @param {string} [kind]
 * @param {string} [title]
 */
export const column = (words, kind, title) =>
  el("th", { scope: "col", title }, words, kind ? el(`span.badge.${kind}`, null, kind) : null);

// One whose words are read out, and not seen.
/** @param {string} words */
export const unseen = (words) => el("th", null, el("span.sr", null, words));

/** @param {...any} columns */
export const heads = (...columns) =>
  el(
    "thead",
    null,
    el(
      "tr",
      null,
      columns.flat().map((one) => (typeof one === "string" ? column(one) : one)),
    ),
  );
