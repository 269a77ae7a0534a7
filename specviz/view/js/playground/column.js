// The column of a token: its two bars with their handles, what a rule makes of the verifier's, its name and its numbers.
import { svg } from "specviz/parts/svg.js";
import { BASE, TOP } from "specviz/playground/axis.js";
import * as drag from "specviz/playground/drag.js";
import * as play from "specviz/playground/play.js";
import { state } from "specviz/playground/play.js";

/** @typedef {import("specviz/playground/drag.js").Kind} Kind */
/** @typedef {ReturnType<typeof column>} Column */

/** @type {Kind[]} */
export const KINDS = ["draft", "verifier"];

// Says that a token was drafted.
/** @param {number} index */
function choose(index) {
  state.token = index;
  play.changed("focus");
}

/**
 * @param {SVGSVGElement} picture it is for
 * @param {number} index of the token
 * @param {number} left px
 * @param {number} each px, of its room
 */
export function column(picture, index, left, each) {
  const bar = Math.min(36, each * 0.3, (each - 14) / 2);
  const gap = Math.min(5, each / 14);
  const centre = left + each / 2;
  /** @type {Record<Kind, number>} */
  const x = { draft: centre - gap / 2 - bar, verifier: centre + gap / 2 };
  const outline = svg("rect", {
    x: x.draft + 0.75,
    width: bar - 1.5,
    fill: "var(--sheet)",
    stroke: "var(--ink2)",
    "stroke-width": 1.5,
  });
  const filled = svg("rect", { x: x.verifier, width: bar, fill: "var(--ink2)" });
  const lifted = svg("rect", { x: x.verifier, width: bar, fill: "var(--amber-bg)" });
  const tick = svg("line", {
    x1: x.verifier - 3,
    x2: x.verifier + bar + 3,
    stroke: "var(--amber)",
    "stroke-width": 2.5,
  });
  const name = svg("text", {
    x: centre,
    y: BASE + 19,
    "text-anchor": "middle",
    "font-size": 12,
    "font-family": "var(--mono)",
    fill: "var(--ink)",
    style: "unicode-bidi: isolate",
  });
  const numbers = [
    svg("text", { x: centre, y: BASE + 34, "text-anchor": "middle", "font-size": 11, fill: "var(--ink3)" }),
    svg("text", { x: centre, y: BASE + 47, "text-anchor": "middle", "font-size": 11, fill: "var(--ink3)" }),
  ];
  const box = svg("rect", {
    x: left + 2,
    y: BASE + 5,
    width: each - 4,
    height: each < 70 ? 48 : 36,
    rx: 5,
    fill: "none",
    stroke: "var(--ink)",
    "stroke-width": 1.5,
  });
  const label = svg(
    "g",
    {
      role: "button",
      tabindex: 0,
      class: "pick",
      onclick: () => choose(index),
      onkeydown: (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          choose(index);
        }
      },
    },
    svg("rect", { "data-live": true, x: left, y: BASE + 2, width: each, height: 54, fill: "transparent" }),
    box,
    name,
    numbers,
  );
  const [draft, verifier] = KINDS.map((kind) => grip(picture, kind, index, x[kind], bar, gap));
  return {
    ...{ centre, bar, x, lifted, tick, name, numbers, box, label },
    bars: { draft: outline, verifier: filled },
    grips: { draft, verifier },
    node: svg("g", null, lifted, outline, filled, tick, label, draft.node, verifier.node),
  };
}

// The handle of a bar: its dot, its value, and what a pointer may take hold of.
/**
 * @param {SVGSVGElement} picture
 * @param {Kind} kind
 * @param {number} index
 * @param {number} left
 * @param {number} bar
 * @param {number} gap
 */
function grip(picture, kind, index, left, bar, gap) {
  const dot = svg("circle", {
    "data-live": true,
    cx: left + bar / 2,
    r: 4.5,
    fill: "var(--sheet)",
    stroke: "var(--ink)",
    "stroke-width": 1.6,
    class: "dot",
  });
  const value = svg("text", {
    "data-live": true,
    x: left + bar / 2,
    "text-anchor": "middle",
    "font-size": 11.5,
    "font-weight": 600,
    fill: "var(--ink)",
    class: "value",
  });
  const handle = svg("rect", {
    "data-live": true,
    class: "hit",
    x: left - gap / 2 - 3,
    width: bar + gap + 6,
    height: 48,
    fill: "transparent",
    onpointerdown: (event) => drag.take(event, picture, kind, index),
  });
  const track = svg("rect", {
    "data-live": true,
    class: "track",
    x: left - gap / 2,
    y: TOP - 14,
    width: bar + gap,
    height: BASE - TOP + 16,
    fill: "transparent",
    onpointerdown: (event) => {
      if (event.pointerType === "mouse") drag.take(event, picture, kind, index);
      else choose(index);
    },
  });
  const node = svg(
    "g",
    {
      role: "slider",
      tabindex: 0,
      class: "grip",
      "data-grip": `${kind} ${index}`,
      "aria-valuemin": 0,
      "aria-valuemax": 1,
      "aria-orientation": "vertical",
      onkeydown: (event) => drag.keys(event, kind, index),
      onblur: drag.release,
    },
    track,
    handle,
    dot,
    value,
  );
  return { node, dot, value, handle };
}
