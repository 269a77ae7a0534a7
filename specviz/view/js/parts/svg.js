// Drawing for the playground: SVG nodes, marks of rules, widths of words, and figures saved as files.
import { css, download, el } from "specviz/core/dom.js";
import { stroke } from "specviz/laws/twins.js";

const SVG = "http://www.w3.org/2000/svg";
let ruler = null;
const widths = new Map();

// svg("text", {x: 1, class: "big"}, "words", child)
export function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  put(node, attributes || {});
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined) node.append(child);
  return node;
}

export function put(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value === true ? "" : value);
  }
  return node;
}

export function width(words, size = 11.5, weight = 400) {
  const key = `${weight} ${size} ${words}`;
  if (!widths.has(key)) {
    ruler = ruler || document.createElement("canvas").getContext("2d");
    if (widths.size > 2000) widths.clear();
    ruler.font = `${weight} ${size}px ${css("sans")}`;
    widths.set(key, ruler.measureText(words).width);
  }
  return widths.get(key);
}

const SHAPES = {
  circle: (r) => `M${-r},0a${r},${r} 0 1,0 ${2 * r},0a${r},${r} 0 1,0 ${-2 * r},0Z`,
  square: (r) => `M${-r},${-r}H${r}V${r}H${-r}Z`,
  "triangle-up": (r) => `M0,${-1.15 * r}L${1.1 * r},${0.85 * r}H${-1.1 * r}Z`,
  "triangle-down": (r) => `M0,${1.15 * r}L${1.1 * r},${-0.85 * r}H${-1.1 * r}Z`,
  diamond: (r) => `M0,${-1.25 * r}L${1.25 * r},0L0,${1.25 * r}L${-1.25 * r},0Z`,
  cross: (r) =>
    `M${-0.4 * r},${-1.1 * r}H${0.4 * r}V${-0.4 * r}H${1.1 * r}V${0.4 * r}H${0.4 * r}` +
    `V${1.1 * r}H${-0.4 * r}V${0.4 * r}H${-1.1 * r}V${-0.4 * r}H${-0.4 * r}Z`,
  hexagon: (r) =>
    `M${-1.1 * r},0L${-0.55 * r},${-0.95 * r}H${0.55 * r}L${1.1 * r},0L${0.55 * r},${0.95 * r}H${-0.55 * r}Z`,
};

// The mark of a rule, as in the other plots.
export function glyph(rule, radius = 4.5) {
  const { symbol, color } = stroke(rule);
  const [shape, hollow] = symbol.endsWith("-open") ? [symbol.slice(0, -5), true] : [symbol, false];
  return svg("path", {
    d: (SHAPES[shape] || SHAPES.circle)(radius),
    fill: hollow ? "var(--ground)" : `var(--${color})`,
    stroke: `var(--${hollow ? "ink2" : color})`,
    "stroke-width": 1.4,
  });
}

// A copy of a figure that needs no page around it: colours and fonts inside, aids for the pointer gone.
function standalone(figure, title) {
  const copy = figure.cloneNode(true);
  copy.querySelectorAll("[data-live]").forEach((node) => node.remove());
  [copy, ...copy.querySelectorAll("*")].forEach((node) => {
    [...node.attributes].forEach(({ name, value }) => {
      if (value.includes("var(--"))
        node.setAttribute(
          name,
          value.replace(/var\(--([\w-]+)\)/g, (_, key) => css(key)),
        );
      else if (/^(tabindex|role|class|aria-)/.test(name)) node.removeAttribute(name);
    });
  });
  const [wide, tall] = [figure.getAttribute("width"), figure.getAttribute("height")].map(Number);
  put(copy, { xmlns: SVG, viewBox: `0 0 ${wide} ${tall}`, "font-family": css("sans"), style: null });
  copy.prepend(svg("title", null, title), svg("rect", { width: wide, height: tall, fill: css("ground") }));
  return { text: new XMLSerializer().serializeToString(copy), wide, tall };
}

async function save(figure, title, format) {
  const { text, wide, tall } = standalone(figure, title);
  const file = `specviz-${title.toLowerCase().replace(/[^a-z]+/g, "-")}.${format}`;
  if (format === "svg") return download(file, text, "image/svg+xml");
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await picture.decode();
  const canvas = document.createElement("canvas");
  canvas.width = wide * 2;
  canvas.height = tall * 2;
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((done) =>
    canvas.toBlob((blob) => {
      download(file, blob);
      done();
    }, "image/png"),
  );
}

// A figure's head: title, sentence below it, and buttons that save it.
export function head(title, caption, figure, ...more) {
  const button = (format) =>
    el(
      "button",
      {
        type: "button",
        "aria-label": `${title} as ${format.toUpperCase()}`,
        onclick: () => save(figure(), title, format),
      },
      format.toUpperCase(),
    );
  return [
    el("div.rowspread", null, el("h3", null, title), el("div.tools", null, more, button("png"), button("svg"))),
    caption,
  ];
}
