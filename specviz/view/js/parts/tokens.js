// Tokens of a text as nodes.
import { el } from "specviz/core/dom.js";
import { lined, named, visible } from "specviz/core/formats.js";

// One token: its leading space stays outside the mark, what cannot be seen is made visible, direction is isolated. One
// that is no text is its name on a label, and one whose bytes belong to a character that stands further on is a small
// mark.
/**
 * @param {Token} token
 * @param {boolean} end
 */
export function tokenNode(token, end) {
  const node = el("span.t", { role: "option", "data-k": token.key });
  node.classList.add(token.fate);
  if (token.cut) node.classList.add("cut");
  if (token.code) node.classList.add("code");
  if (token.special || end) {
    node.classList.add("end");
    node.append(el("bdi", null, token.special ? visible(token.text) : "end"));
    return node;
  }
  if (token.shown === "" && token.text !== "") {
    node.classList.add("part");
    node.setAttribute("aria-label", `${named(token.text)}, part of a character, ${token.fate}`);
    node.append(el("bdi", null, "·"));
    return node;
  }
  const text = token.shown;
  const empty = text.trim() === "";
  const spaces = /\S/.test(text) ? text.slice(0, text.search(/[^ ]/)) : "";
  let body = text.slice(spaces.length);
  if (empty) {
    node.classList.add("blank");
    node.setAttribute("aria-label", `${named(body)}, ${token.fate}`);
    if (/^ *$/.test(body) && token.fate !== "accepted" && token.fate !== "plain")
      body = body ? "␣".repeat(body.length) : "∅";
  }
  if (spaces) node.append(spaces);
  const lines = !token.cut && body.includes("\n") && !(token.key === 0 && empty);
  node.append(el("bdi", null, lines ? lined(body) : visible(body)));
  return node;
}
