// Figures for a talk or a paper: drawn anew from what is there now, on light ground whatever the theme, 16:9, with a title,
// both axes named, and below it what it is of. Also the numbers of a plot.
import { boot } from "specviz/core/boot.js";
import { css, download, el, inks } from "specviz/core/dom.js";
import { csv } from "specviz/parts/csv.js";
import { load, plotly } from "specviz/parts/plotly.js";
import { put, svg, width } from "specviz/parts/svg.js";

const WIDE = 720;
const TALL = 405;
const SCALE = 1920 / WIDE; // of a PNG: type of 11 px on the page is 29 px in it
const EDGE = 14;
const TYPE = { title: 16, words: 11.5, foot: 11 };

// What `work` gives while the page is light; nothing is painted in between.
/**
 * @template Made
 * @param {(ink: Inks) => Made} work
 * @returns {Made}
 */
function inLight(work) {
  const { dataset } = document.documentElement;
  const { theme } = dataset;
  dataset.theme = "light";
  try {
    return work(inks());
  } finally {
    dataset.theme = theme;
  }
}

// A text in lines that fit, two at most.
/**
 * @param {string} text
 * @param {number} size
 */
function lines(text, size) {
  const room = WIDE - 2 * EDGE;
  const out = [""];
  for (const word of text.split(" ")) {
    const longer = out.at(-1) ? `${out.at(-1)} ${word}` : word;
    if (width(longer, size) <= room || !out.at(-1)) out[out.length - 1] = longer;
    else if (out.length < 2) out.push(word);
    else {
      out[1] += " …";
      break;
    }
  }
  return out.filter(Boolean);
}

// What stands around a figure: {title, words, foot} as lines, and the room that they take.
/** @param {Figure} figure */
function around({ title, subtitle = "", foot }) {
  const words = lines(subtitle, TYPE.words);
  const below = lines([`specviz ${boot.version}`, ...foot].filter(Boolean).join(" · "), TYPE.foot);
  return { title, words, foot: below, top: 40 + 16 * words.length, bottom: 12 + 15 * below.length };
}

/** @param {string} text */
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");

// A plot of Plotly's, put into the frame. What names an axis on the page goes: the axes have titles here.
/**
 * @param {Plotted & Framed} figure
 * @param {Inks} ink
 */
function framed(figure, ink) {
  const { data, layout, axes } = figure;
  const frame = around(figure);
  const { l, r, t } = layout.margin;
  const margin = { l: l + 24, r: r + 8, t: t + frame.top, b: 46 + frame.bottom };
  /**
   * @param {string} words
   * @param {number} size
   * @param {string} color
   * @param {Record<string, string | number>} [more]
   */
  const text = (words, size, color, more) => ({
    text: words,
    showarrow: false,
    font: { size, color },
    align: "left",
    xref: "paper",
    x: 0,
    xshift: EDGE - margin.l,
    xanchor: "left",
    yref: "paper",
    ...more,
  });
  /**
   * @param {Record<string, unknown>} axis
   * @param {string} words
   */
  const titled = (axis, words) => ({
    ...axis,
    title: { text: escaped(words), font: { size: 12, color: ink.ink2 }, standoff: 8 },
  });
  return {
    data,
    layout: {
      ...layout,
      width: WIDE,
      height: TALL,
      margin,
      paper_bgcolor: ink.sheet,
      plot_bgcolor: ink.sheet,
      xaxis: titled(layout.xaxis, axes[0]),
      yaxis: titled(layout.yaxis, axes[1]),
      annotations: [
        ...(layout.annotations || []).filter(({ name }) => name !== "axis"),
        text(`<b>${escaped(frame.title)}</b>`, TYPE.title, ink.ink, { y: 1, yshift: margin.t - 10, yanchor: "top" }),
        ...(frame.words.length
          ? [
              text(frame.words.map(escaped).join("<br>"), TYPE.words, ink.ink2, {
                y: 1,
                yshift: margin.t - 34,
                yanchor: "top",
              }),
            ]
          : []),
        text(frame.foot.map(escaped).join("<br>"), TYPE.foot, ink.ink3, {
          y: 0,
          yshift: 8 - margin.b,
          yanchor: "bottom",
        }),
      ],
    },
  };
}

// A figure drawn as SVG on the page, as a document of its own: colours and fonts inside, aids for the pointer gone.
/**
 * @param {Pictured} figure
 * @param {Inks} ink
 */
function standalone(figure, ink) {
  const copy = figure.draw(); // at its natural size, in the colours of the page
  copy.querySelectorAll("[data-live], [data-axis]").forEach((node) => node.remove());
  [copy, ...copy.querySelectorAll("*")].forEach((node) => {
    [...node.attributes].forEach(({ name, value }) => {
      if (value.includes("var(--"))
        node.setAttribute(
          name,
          value.replace(/var\(--([\w-]+)\)/g, (_, key) => (key === "ground" ? ink.sheet : css(key))),
        );
      else if (/^(tabindex|role|class|aria-)/.test(name)) node.removeAttribute(name);
    });
  });
  return copy;
}

// The same frame around a figure that is SVG already.
/**
 * @param {Pictured & Framed} figure
 * @param {Inks} ink
 */
function enclosed(figure, ink) {
  const copy = standalone(figure, ink);
  const frame = around(figure);
  const [wide, tall] = ["width", "height"].map((name) => Number(copy.getAttribute(name)));
  const box = { x: EDGE + 18, y: frame.top, width: WIDE - 2 * EDGE - 18, height: TALL - frame.top - frame.bottom - 24 };
  put(copy, { ...box, viewBox: `0 0 ${wide} ${tall}`, style: null });
  /**
   * @param {string} words
   * @param {number} x
   * @param {number} y
   * @param {number} size
   * @param {string} fill
   * @param {Record<string, string | number>} more
   */
  const text = (words, x, y, size, fill, more = {}) => svg("text", { x, y, "font-size": size, fill, ...more }, words);
  const middle = box.y + box.height / 2;
  const out = svg(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      width: WIDE,
      height: TALL,
      viewBox: `0 0 ${WIDE} ${TALL}`,
      "font-family": ink.sans,
    },
    svg("rect", { width: WIDE, height: TALL, fill: ink.sheet }),
    text(frame.title, EDGE, 26, TYPE.title, ink.ink, { "font-weight": 600 }),
    frame.words.map((words, i) => text(words, EDGE, 46 + 16 * i, TYPE.words, ink.ink2)),
    copy,
    text(figure.axes[1], 0, 0, 12, ink.ink2, {
      transform: `translate(${EDGE + 10},${middle}) rotate(-90)`,
      "text-anchor": "middle",
    }),
    text(figure.axes[0], box.x + box.width / 2, box.y + box.height + 14, 12, ink.ink2, { "text-anchor": "middle" }),
    frame.foot.map((words, i) => text(words, EDGE, TALL - 10 - 15 * (frame.foot.length - 1 - i), TYPE.foot, ink.ink3)),
  );
  return new XMLSerializer().serializeToString(out);
}

/**
 * @param {string} text
 * @param {string} format
 * @returns {Promise<Blob>}
 */
async function picture(text, format) {
  if (format === "svg") return new Blob([text], { type: "image/svg+xml" });
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [WIDE * SCALE, TALL * SCALE];
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((done, failed) =>
    canvas.toBlob((blob) => (blob ? done(blob) : failed(new Error("This picture is too large."))), "image/png"),
  );
}

/**
 * @param {{ data: Series[], layout: object }} figure
 * @param {string} format
 */
async function plotted({ data, layout }, format) {
  const size = { width: WIDE, height: TALL };
  const url = await plotly().toImage({ data, layout }, { format, ...size, scale: format === "png" ? SCALE : 1 });
  return (await fetch(url)).blob();
}

// The numbers of a figure; without any of its own a line for each point of each trace that has a name.
/**
 * @param {Figure} figure
 * @returns {Cell[][]}
 */
function numbers(figure) {
  if (figure.draw) return figure.rows;
  const { data, axes, rows } = figure;
  if (rows) return rows;
  const traces = data.filter((trace) => trace.name && trace.x?.length);
  /** @type {("x" | "y")[]} */
  const sides = ["x", "y"];
  const ends = sides.filter((axis) => traces.some((trace) => trace[`error_${axis}`]));
  /**
   * @param {Series} series
   * @param {{ x: number, y: number }} at
   * @param {number} i
   */
  const bounds = (series, at, i) =>
    ends.flatMap((axis) => {
      const error = series[`error_${axis}`];
      return error ? [at[axis] - error.arrayminus[i], at[axis] + error.array[i]] : [null, null];
    });
  const heads = [
    "series",
    ...axes,
    ...ends.flatMap((axis) => ["low", "high"].map((end) => `${axes[axis === "x" ? 0 : 1]}, ${end}`)),
    "point",
  ];
  /**
   * @param {Series} trace
   * @param {number} i
   */
  const words = (trace, i) =>
    Array.isArray(trace.text)
      ? String(trace.text[i]).replace(/<br>/g, "; ").replace(/&lt;/g, "<").replace(/&amp;/g, "&")
      : "";
  return [
    heads,
    ...traces.flatMap((trace) =>
      [...(trace.x ?? [])].map((x, i) => {
        const y = trace.y?.[i];
        return [trace.name, x, y, ...bounds(trace, { x, y }, i), words(trace, i)];
      }),
    ),
  ];
}

const FORMATS = ["png", "svg", "csv"];

// Buttons that save a figure. `make` gives it as it is now, or null while there is nothing to see:
//   {title, subtitle?, axes: [x, y], foot: [what it is of], and either
//    data, layout        Plotly's
//    draw(), rows        an SVG node of its own, and its numbers}
/**
 * @param {string} title
 * @param {() => Figure | null} make
 */
export function buttons(title, make) {
  /** @param {string} format */
  const save = async (format) => {
    if (format !== "csv") await load();
    const figure = inLight(() => make());
    if (!figure) return;
    const file = `specviz-${title.toLowerCase().replace(/[^a-z]+/g, "-")}.${format}`;
    if (format === "csv") return download(file, csv(numbers(figure)), "text/csv");
    const made = figure.draw
      ? await picture(
          inLight((ink) => enclosed(figure, ink)),
          format,
        )
      : await plotted(
          inLight((ink) => framed(figure, ink)),
          format,
        );
    download(file, made);
  };
  return FORMATS.map((format) =>
    el(
      "button",
      { type: "button", "aria-label": `${title} as ${format.toUpperCase()}`, onclick: () => save(format) },
      format.toUpperCase(),
    ),
  );
}

// A figure's head: title, buttons that save it, and the sentence below.
/**
 * @param {string} title
 * @param {any} caption
 * @param {() => Figure | null} make
 * @param {...any} more
 */
export function head(title, caption, make, ...more) {
  return [el("div.rowspread", null, el("h3", null, title), el("div.tools", null, more, buttons(title, make))), caption];
}
