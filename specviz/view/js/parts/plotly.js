// Plotly, fetched when it is first needed, and what all plots look like.
import { boot } from "specviz/core/boot.js";
import { el, inside } from "specviz/core/dom.js";

export const CONFIG = { displayModeBar: false, responsive: true, doubleClick: "reset" };

// Told to compile the whole of it as it comes in, beside the page, the browser holds the page up a sixth as long.
const EAGER = "//# allFunctionsCalledOnLoad\n";

async function fetched() {
  const answer = await fetch(boot.plotly);
  if (!answer.ok) throw new Error(String(answer.status));
  const src = URL.createObjectURL(new Blob([EAGER, await answer.blob()], { type: "text/javascript" }));
  await new Promise((resolve, reject) =>
    document.head.append(el("script", { src, async: true, onload: resolve, onerror: reject })),
  );
  URL.revokeObjectURL(src);
}

// A replay carries it along, gzipped.
async function unpacked() {
  const packed = Uint8Array.from(atob(inside(document, "#plotly").textContent), (char) => char.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  document.head.append(el("script", null, await new Response(stream).text()));
}

/** @type {Promise<void> | null} */
let loading = null;

// What `load` has brought.
export function plotly() {
  if (!window.Plotly) throw new Error("Plotly is not loaded yet.");
  return window.Plotly;
}

export function load() {
  if (window.Plotly) return Promise.resolve();
  return (loading = loading || (document.getElementById("plotly") ? unpacked() : fetched()));
}

/**
 * @param {Inks} ink
 * @param {Partial<Layout>} extra
 * @returns {Layout}
 */
export function layout(ink, extra = {}) {
  const axis = {
    color: ink.ink3,
    tickfont: { size: 11, color: ink.ink3 },
    gridcolor: ink.grid,
    gridwidth: 1,
    zeroline: false,
    ticks: "",
    fixedrange: false,
    automargin: false,
  };
  const { xaxis, yaxis, ...rest } = extra;
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    height: 250,
    margin: { l: 40, r: 78, t: 26, b: 30 },
    showlegend: false,
    hovermode: "closest",
    font: { family: ink.sans, size: 11, color: ink.ink3 },
    uirevision: "keep",
    dragmode: "zoom",
    hoverlabel: { bgcolor: ink.sheet, bordercolor: ink.line2, font: { family: ink.sans, size: 12, color: ink.ink } },
    xaxis: { ...axis, showgrid: false, showline: true, linecolor: ink.line2, ...xaxis },
    yaxis: { ...axis, ...yaxis },
    ...rest,
  };
}

// A name at the end of an axis, or of a line.
/**
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {string} color
 * @param {Record<string, unknown>} more
 */
export function note(text, x, y, color, more = {}) {
  const beside = x > 1; // right of the plot, a fixed step away from it
  return {
    text,
    x: beside ? 1 : x,
    xshift: beside ? 8 : 0,
    y,
    xref: "paper",
    yref: "paper",
    showarrow: false,
    font: { size: 11.5, color },
    xanchor: "left",
    yanchor: "middle",
    ...more,
  };
}

// Ends of lines with the heights of their names, as shares of `top`: from the highest down, `gap` apart.
/**
 * @template {{ y: number }} End
 * @param {End[]} ends
 * @param {number} top
 * @param {number} gap
 */
export function spread(ends, top, gap) {
  const order = [...ends].sort((a, b) => b.y - a.y);
  let above = Infinity;
  const placed = order.map((end) => {
    above = Math.min(end.y / top, above - gap);
    return { ...end, at: above };
  });
  let below = -gap / 2;
  placed.reverse().forEach((end) => {
    end.at = Math.max(end.at, below + gap);
    below = end.at;
  });
  return placed.reverse();
}
