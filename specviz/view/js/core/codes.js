// What stands in a link: base64url of JSON.
/** @param {unknown} value */
export function encode(value) {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  const text = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  return text.replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

// Throws for what `encode` did not make.
/**
 * @param {string} text
 * @returns {any}
 */
export function decode(text) {
  const binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  const bytes = Uint8Array.from(binary, (char) => char.charCodeAt(0));
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
}

// What a link says that is not understood here, in a sentence; the names come from the link.
/** @param {string[]} ignored */
export function without(ignored) {
  const names = ignored.slice(0, 8).map((name) => (name.length > 40 ? `${name.slice(0, 40)}…` : name));
  const more = ignored.length > names.length ? ` and ${ignored.length - names.length} more` : "";
  return `Not understood in this link, and left out: ${names.join(", ")}${more}. The rest is as it says.`;
}
