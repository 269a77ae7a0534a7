// Small helpers for building the page. Text from models only ever enters as text nodes.

// el("button.quiet", {type: "button", onclick: f}, "text", child): attributes by name, handlers as functions
/**
 * @template {string} Spec
 * @param {Spec} spec
 * @param {Attributes<Made<Spec>> | null} [attributes]
 * @param {...any} children
 * @returns {Made<Spec>}
 */
export function el(spec, attributes, ...children) {
  const [tag, ...classes] = spec.split(".");
  const node = document.createElement(tag || "div");
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name === "value") Object.assign(node, { value });
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined) node.append(child);
  return /** @type {Made<Spec>} */ (/** @type {unknown} */ (node));
}

// The element that an event hit, or the nearest around it, that a selector names; null for none.
/**
 * @param {Event} event
 * @param {string} selector
 * @returns {HTMLElement | null}
 */
export function hit({ target }, selector) {
  return target instanceof Element ? target.closest(selector) : null;
}

// All of a box that a selector names.
/**
 * @param {ParentNode} box
 * @param {string} selector
 * @returns {HTMLElement[]}
 */
export const all = (box, selector) => /** @type {HTMLElement[]} */ ([...box.querySelectorAll(selector)]);

// The element of a box that a selector names, which is surely there.
/**
 * @template {HTMLElement} [Kind=HTMLElement]
 * @param {ParentNode} box
 * @param {string} selector
 * @returns {Kind}
 */
export const inside = (box, selector) => /** @type {Kind} */ (box.querySelector(selector));

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
/** @type {Inks} */
let known = {};
export function inks() {
  const { theme = "" } = document.documentElement.dataset;
  if (known.theme !== theme) known = { theme, ...Object.fromEntries(INKS.map((name) => [name, css(name)])) };
  return known;
}

export const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * @param {string} name
 * @param {BlobPart} content
 * @param {string} [type]
 */
export function download(name, content, type) {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  const link = el("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 2000);
}
