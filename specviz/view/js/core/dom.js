// Small helpers for building the page. Text from models only ever enters as text nodes.

// el("button.quiet", {type: "button", onclick: f}, "text", child): attributes by name, handlers as functions
/**
 * @param {string} spec
 * @param {Record<string, any> | null} attributes
 * @param {...any} children
 */
export function el(spec, attributes, ...children) {
  const [tag, ...classes] = spec.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") Object.assign(node, { value });
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined) node.append(child);
  return node;
}

/**
 * @param {Node} node
 * @param {string} text
 */
export function set(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Runs `draw` once in the next frame however often it is asked for.
/** @param {() => void} draw */
export function framed(draw) {
  let asked = 0;
  return () => {
    if (asked) return;
    asked = requestAnimationFrame(() => {
      asked = 0;
      draw();
    });
  };
}

// Lets the page do something else between two halves of long work.
export const pause = () => new Promise((go) => setTimeout(go));

/** @param {string} name */
export function css(name) {
  return getComputedStyle(document.querySelector(".sv") || document.documentElement)
    .getPropertyValue(`--${name}`)
    .trim();
}

// The colours of the theme by name; asked of the browser once a theme, because asking makes it lay the page out.
const INKS = [
  "ink",
  "ink2",
  "ink3",
  "mute",
  "blue",
  "amber",
  "amber-ink",
  "amber-bg",
  "red",
  "line",
  "line2",
  "grid",
  "sheet",
  "ground",
  "sans",
];
/** @type {Record<string, string | undefined>} */
let known = {};
export function inks() {
  const { theme } = document.documentElement.dataset;
  if (known.theme !== theme) known = { theme, ...Object.fromEntries(INKS.map((name) => [name, css(name)])) };
  return known;
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * @param {string} name
 * @param {BlobPart} content
 * @param {string} type
 */
export function download(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 2000);
}
