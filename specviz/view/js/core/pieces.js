// Pieces of text that models write: some are bytes that only together are a character.

const BYTES = /^⟨([0-9A-F]{2}(?: [0-9A-F]{2})*)⟩$/; // a token whose bytes are no whole character
const FENCE = "```";

// Puts bytes together, as specviz/record/pieces.py does. What it gives is told each token in its turn, sets what it
// adds to the text, `shown`, and returns the tokens before it whose `shown` has changed.
/** @returns {(token: { text: string; shown: string }) => any[]} */
function joiner() {
  /** @type {TextDecoder} */
  let decoder;
  /** @type {[any, string][]} */
  let waiting = []; // [token, what it adds if all goes well]: with bytes of a character that is not whole yet
  let bytes = 0; // of them
  const begin = () => {
    decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    waiting = [];
    bytes = 0;
  };
  /** @param {Uint8Array<ArrayBuffer>} given */
  const read = (given) => {
    try {
      return decoder.decode(given, { stream: true });
    } catch {
      return null;
    }
  };
  begin();
  return (token) => {
    token.shown = token.text;
    const found = BYTES.exec(token.text);
    if (!found) {
      begin();
      return [];
    }
    const given = Uint8Array.from(found[1].split(" "), (byte) => parseInt(byte, 16));
    let out = read(given);
    if (out === null) {
      // not what the waiting ones needed: it may begin anew
      begin();
      out = read(given);
      if (out === null) {
        begin();
        return [];
      }
    }
    waiting.push([token, out]);
    bytes += given.length - new TextEncoder().encode(out).length;
    if (bytes) return [];
    const settled = waiting;
    settled.forEach(([one, adds]) => {
      one.shown = adds;
    });
    begin();
    return settled.slice(0, -1).map(([one]) => one);
  };
}

// Reads a lane's text as it grows: sets `shown` and `code` of each token, and returns earlier ones whose `shown` has
// changed.
/** @returns {(token: Token) => Token[]} */
export function reader() {
  const join = joiner();
  let inside = false;
  let tail = "";
  return (token) => {
    token.shown = token.text;
    token.code = inside;
    if (token.cut) return [];
    if (token.special) {
      token.shown = "";
      return [];
    }
    const changed = join(token);
    const text = tail + token.shown;
    const fences = text.split(FENCE).length - 1;
    tail = fences ? text.slice(text.lastIndexOf(FENCE) + FENCE.length).slice(-2) : text.slice(-2);
    if (fences % 2) inside = !inside;
    token.code = token.code || inside;
    return changed;
  };
}

// What tokens {text, special} add to a text, one behind the other.
/** @param {{ text: string; special: boolean }[]} tokens */
export function joined(tokens) {
  const join = joiner();
  const copies = tokens.map((token) => ({ ...token, shown: "" }));
  copies.filter((token) => !token.special).forEach(join);
  return copies.map((token) => token.shown);
}
