// Where a token came from, and the place that it was copied from, as tokens.
import { el } from "specviz/core/dom.js";
import { visible } from "specviz/core/formats.js";
import * as provenance from "specviz/core/provenance.js";

/**
 * @param {Run} run
 * @param {Token} token
 * @param {Provenance} known
 */
function passage(run, token, known) {
  const { before, behind, parts } = provenance.passage(run, run.lanes[token.lane], known);
  return el(
    "p.passage",
    { dir: "auto" },
    before ? "… " : "",
    parts.map(({ text, kind }) => (kind ? el(`span.${kind}`, null, visible(text)) : visible(text))),
    behind ? " …" : "",
  );
}

// What is known of where a token came from: nothing, or a sentence and, of a copy, the place.
/**
 * @param {Run} run
 * @param {Token} token
 */
export function about(run, token) {
  const known = provenance.of(run, token);
  if (!known) return [];
  const words = el("p.aside", null, provenance.sentence(run, token, known));
  return known.place === null ? [words] : [words, passage(run, token, known)];
}
