// What a text claims as its answer, for prompts whose answer is known. Pure.
/** @param {string} text */
const plain = (text) => text.trim().replace(/\s+/g, " ").toLowerCase();

// {said, right} of the first claim "The answer is X."; null if there is none.
/**
 * @param {string} text
 * @param {string} expected
 */
export function claim(text, expected) {
  const said = (/answer is:?\s+(.+?)\s*\.?\s*(<|$)/is.exec(text)?.[1] ?? "").trim();
  return said ? { said: said.slice(0, 40), right: plain(said) === plain(String(expected)) } : null;
}
