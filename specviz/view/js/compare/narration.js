// What a round does, told in sentences: for the tour and for a class that watches. Pure but for the names of tokens.
import { fixed, named } from "specviz/core/formats.js";

/** @param {Token} token */
const quoted = (token) => `“${named(token.text)}”`;
/** @param {Token[]} tokens */
const list = (tokens) => tokens.map(quoted).join(" ");
/**
 * @param {number} number
 * @param {string} word
 */
const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

// The tokens of a round by what became of them.
/** @param {Round} round */
export function parts(round) {
  /** @param {...Fate} fates */
  const of = (...fates) => round.tokens.filter((token) => fates.includes(token.fate));
  return {
    drafted: round.tokens.slice(0, round.given.drafted.length),
    kept: of("accepted", "relaxed"),
    relaxed: of("relaxed"),
    refused: of("rejected")[0] ?? null,
    unread: of("discarded"),
    rewritten: of("resampled")[0] ?? null,
    extra: of("bonus")[0] ?? null,
  };
}

// One sentence for a phase of a round: drafting, checking, or done.
/**
 * @param {Lane} lane
 * @param {Round} round
 * @param {string} phase
 */
export function sentence(lane, round, phase) {
  const { drafted, kept, relaxed, refused, unread, rewritten, extra } = parts(round);
  const head = `${lane.name}, round ${round.index + 1}: `;
  if (!drafted.length) return `${head}the verifier writes ${list(round.tokens)} by itself.`;
  if (phase === "drafting") return `${head}the draft proposes ${list(drafted)}.`;
  if (phase === "checking") return `${head}the verifier looks once at all ${drafted.length}: ${list(drafted)}.`;
  const said = [];
  if (kept.length) said.push(`${count(kept.length, "token")} kept`);
  if (relaxed.length) said.push(`${relaxed.length === 1 ? "one" : relaxed.length} of them by leniency`);
  if (refused)
    said.push(`${quoted(refused)} refused: u ${fixed(refused.uniform)} is not below ${fixed(refused.accept)}`);
  if (rewritten) said.push(`rewritten as ${quoted(rewritten)}`);
  if (unread.length) said.push(`${count(unread.length, "token")} behind it unread`);
  if (extra) said.push(`and one extra, ${quoted(extra)}`);
  return `${head}${said.join(", ")}.`;
}
