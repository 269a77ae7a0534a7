// A page for a section. Gradio brings a main element of its own, a replay has none.
import { offline } from "specviz/core/boot.js";
import { el } from "specviz/core/dom.js";

/**
 * @param {string} classes
 * @param {string} name
 * @param {...any} children
 */
export const section = (classes, name, ...children) =>
  el(`${offline ? "main" : "div"}.page${classes}`, { hidden: true, "aria-label": name }, ...children);
