// Acceptance against true divergence: a mark per row, a thin line per knob, and the frontier no rule can cross.
import { boot } from "specviz/core/boot.js";
import { el, set } from "specviz/core/dom.js";
import { nats, percent, symbol } from "specviz/core/formats.js";
import { stroke } from "specviz/laws/twins.js";
import * as card from "specviz/parts/card.js";
import { head } from "specviz/parts/figure.js";
import { glyph, put, svg, width } from "specviz/parts/svg.js";
import * as labels from "specviz/playground/labels.js";
import * as play from "specviz/playground/play.js";
import { state } from "specviz/playground/play.js";

const FIGURE = 760; // px wide, in a figure
const parts = {};
const places = new Map(); // where each label stood last, so that it stays there while bars move
let axes = { x: 0.1, y: 0 };

const path = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join("");
const number = (value) => String(+Number(value).toPrecision(3)).replace("e-", "e−");
// "δ 0.1", or the number alone where the symbol is but a letter
export function knobWords(one) {
  const knob = play.mainKnob(one.rule);
  const sign = knob && symbol(knob.name);
  return knob ? `${/^[a-z]$/.test(sign) ? "" : `${sign} `}${number(one.knobs[knob.name])}` : "";
}

// The range worth seeing: all of the frontier's rise, and the rows near it. What lies outside is named at the edge.
function range() {
  const { frontier, rows, focus } = play.now;
  const rise = Math.max(frontier.end.kl, 0.004);
  const near = rows.filter((one) => one.kl <= 1.45 * rise).map((one) => one.kl);
  const most = Math.max(rise * 1.22, ...near.map((kl) => kl * 1.12), Number.isFinite(focus.kl) ? focus.kl * 1.12 : 0);
  const strict = frontier.start.acceptance;
  const floor = Math.max(0, Math.min(strict - 0.3 * (1 - strict) - 0.03, focus.acceptance - 0.03));
  const low = Math.floor(floor * 10) / 10;
  axes = state.moving ? { x: Math.max(axes.x, most), y: Math.min(axes.y, low) } : { x: most, y: low };
}

// Round values between `from` and `to`, counted from `anchor`.
const ticksOf = (from, to, many, anchor) => {
  const step =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20].find(
      (size) => (to - from) / size <= many,
    ) || 50;
  const sign = anchor === to ? -1 : 1;
  return Array.from(
    { length: Math.floor((to - from) / step + 1e-9) + 1 },
    (_, i) => +(anchor + sign * i * step).toFixed(6),
  );
};

const plain = (one) => stroke(one.rule).symbol.startsWith("hexagon"); // a rule without a mark of its own

// Rows that lie on one another share a label.
function groups(at, box, most) {
  const found = [];
  const hidden = { right: [], below: [], same: [] };
  [...play.now.rows]
    .sort(
      (a, b) =>
        (b.id === state.focus) - (a.id === state.focus) ||
        (b.rule === play.now.focus.rule) - (a.rule === play.now.focus.rule) ||
        plain(a) - plain(b),
    )
    .forEach((one) => {
      const [x, y] = at(one.kl, one.acceptance);
      if (x > box.right + 0.5) return hidden.right.push(one);
      if (y > box.bottom + 0.5) return hidden.below.push(one);
      const twin = found.find((other) => Math.hypot(other.x - x, other.y - y) < 4);
      if (twin) twin.rows.push(one);
      else found.push({ x, y, rows: [one] });
      return null;
    });
  const named = new Set();
  found.forEach((group) => {
    const words = [];
    group.rows.forEach((one) => {
      const full = [one.rule, knobWords(one)].filter(Boolean).join(" ");
      if (words.length < most)
        words.push(
          named.has(one.rule) && knobWords(one) && one.id !== state.focus
            ? group.rows.length > 1
              ? full
              : knobWords(one)
            : group.rows.length > 2 && one.id !== state.focus
              ? one.rule
              : full,
        );
      named.add(one.rule);
    });
    group.words = words.join(", ") + (group.rows.length > most ? ` +${group.rows.length - most}` : "");
    group.strong = group.rows.some((one) => one.id === state.focus);
    group.key = group.rows.map((one) => one.id).join(" ");
  });
  return { found, hidden };
}

function text(words, x, y, more = {}) {
  return svg(
    "text",
    {
      x,
      y,
      "font-size": 11.5,
      fill: "var(--ink2)",
      stroke: "var(--ground)",
      "stroke-width": 3.5,
      "stroke-linejoin": "round",
      "paint-order": "stroke",
      ...more,
    },
    words,
  );
}

// A thin line from a mark to a label that stands away from it.
function leader(spot, x, y, color) {
  const [tx, ty] = labels.nearest(spot, x, y);
  const far = Math.hypot(tx - x, ty - y) || 1;
  return far < 15
    ? null
    : svg("line", {
        x1: x + ((tx - x) / far) * 7,
        y1: y + ((ty - y) / far) * 7,
        x2: tx,
        y2: ty,
        stroke: color,
        "stroke-width": 1,
      });
}

function grid(at, box, narrow) {
  const quiet = (anchor) => ({ "text-anchor": anchor, "font-size": 11, fill: "var(--ink3)" });
  const level = (tick) => at(0, tick)[1];
  return svg(
    "g",
    null,
    ticksOf(axes.y, 1, narrow ? 5 : 6, 1).map((tick) => [
      svg("line", { x1: box.left, x2: box.right, y1: level(tick), y2: level(tick), stroke: "var(--grid)" }),
      text(`${Math.round(tick * 100)}${tick === 1 ? " %" : ""}`, box.left - 9, level(tick) + 4, quiet("end")),
    ]),
    svg("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, stroke: "var(--line2)" }),
    ticksOf(0, axes.x, narrow ? 4 : 6, 0).map((tick) =>
      text(String(tick), at(tick, 0)[0], box.bottom + 17, quiet("middle")),
    ),
    text(
      narrow ? "true divergence, nats" : "true divergence, KL(output law ‖ verifier), nats",
      box.right,
      box.bottom + 34,
      { ...quiet("end"), "data-axis": true },
    ),
  );
}

// The line of a knob: {points, node}. A knob that only jumps shows its few points, and only while its rule is in focus.
function trace(line, at, seen) {
  const own = line.rule === play.now.focus.rule;
  const { color, width: wide, dash } = stroke(line.rule);
  const points = line.points
    .map((point) => at(point.kl, point.acceptance))
    .filter((point) => Number.isFinite(point[0]));
  if (line.distinct < 2 || points.length < 2 || (line.steps && !own)) return { points: [], node: null };
  const near = points.filter(seen);
  if (!line.steps)
    return {
      points: near,
      node: svg("path", {
        d: path(points),
        fill: "none",
        stroke: `var(--${own ? "ink" : color})`,
        "stroke-width": own ? Math.max(1.6, wide * 0.8) : 0.9,
        "stroke-dasharray": own ? null : dash || null,
        opacity: own ? 1 : 0.8,
      }),
    };
  const places = new Set(near.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`));
  return {
    points: near,
    node: svg(
      "g",
      null,
      [...places].map((place) =>
        svg("circle", { cx: place.split(",")[0], cy: place.split(",")[1], r: 2.2, fill: `var(--${color})` }),
      ),
    ),
  };
}

function mark(group) {
  const focus = () => {
    state.focus = group.rows[0].id;
    play.changed("focus");
  };
  const hover = (event) => {
    if (event.pointerType === "mouse") tell(event.currentTarget, group);
  };
  return svg(
    "g",
    {
      transform: `translate(${group.x.toFixed(1)},${group.y.toFixed(1)})`,
      class: "mark",
      onclick: focus,
      onpointerenter: hover,
      onpointerleave: () => card.hide(),
    },
    svg("circle", { "data-live": true, r: 14, fill: "transparent" }),
    group.strong ? svg("circle", { r: 9, fill: "none", stroke: "var(--ink)", "stroke-width": 1.4 }) : null,
    glyph(group.rows[0].rule, 4.2),
  );
}

// Words: what the region means, then the rule in focus, the frontier, and the rest.
function words(found, curve, lines, box) {
  const out = svg("g");
  const marks = found.map(({ x, y, strong }) => {
    const room = strong ? 10 : 6;
    return { left: x - room, right: x + room, top: y - room, bottom: y + room };
  });
  const limit = (x) => {
    let y = curve[0][1];
    for (const point of curve) {
      if (point[0] > x) break;
      y = Math.min(y, point[1]);
    }
    return y;
  };
  const seats = labels.placer({
    marks,
    lines,
    above: limit,
    last: places,
    edge: { left: box.left + 2, right: box.edge - 2, top: box.ceiling, bottom: box.bottom - 1 },
  });
  const phrase = "no rule can be here";
  const spot = region(limit, box, width(phrase, 12) + 6, marks);
  seats.take(spot);
  out.append(text(phrase, spot.left + 3, spot.top + 12, { "font-size": 12, fill: "var(--ink2)" }));
  const label = (key, shown, x, y, tall, low, style, color) => {
    const seat = seats.find(key, x, y, width(shown, style["font-size"], style["font-weight"]) + 6, tall, low);
    const line = seat && leader(seat, x, y, color);
    if (line) out.append(line);
    if (seat) out.append(text(shown, seat.left + 3, seat.top + tall - 3.5, style));
  };
  const best = () =>
    label(
      "best",
      "best any rule can do",
      ...curve[Math.round((curve.length - 1) * 0.62)],
      16,
      22,
      { "font-size": 12, "font-weight": 600, fill: "var(--amber-ink)" },
      "var(--amber)",
    );
  const ordered = [...found].sort((a, b) => b.strong - a.strong || b.rows.length - a.rows.length);
  ordered.forEach((group, i) => {
    if (i === 1) best();
    label(
      group.key,
      group.words,
      group.x,
      group.y,
      15,
      group.y < box.top + 4 ? 6 : 0,
      group.strong ? { "font-size": 11.5, fill: "var(--ink)", "font-weight": 600 } : { "font-size": 11.5 },
      "var(--ink3)",
    );
  });
  if (ordered.length < 2) best();
  return out;
}

export function render(wide = parts.holder.clientWidth) {
  if (!wide) return;
  range();
  const { frontier, lines } = play.now;
  const narrow = wide < 520;
  const tall = narrow ? 330 : 372;
  const box = { left: 44, right: wide - (narrow ? 12 : 40), edge: wide, ceiling: 12, top: 34, bottom: tall - 58 };
  const at = (kl, acceptance) => [
    Number.isFinite(kl) ? box.left + (kl / axes.x) * (box.right - box.left) : Infinity,
    box.bottom - ((acceptance - axes.y) / (1 - axes.y)) * (box.bottom - box.top),
  ];
  const seen = ([x, y]) => Number.isFinite(x) && x <= box.right && y <= box.bottom + 6;

  const curve = frontier.curve(90).map((point) => at(point.kl, point.acceptance));
  curve.push([box.right, at(0, frontier.end.acceptance)[1]]);
  const traces = lines.map((line) => trace(line, at, seen));
  const strokes = [...labels.dense(curve, 5), ...traces.flatMap((one) => labels.dense(one.points, 7))];
  const { found, hidden } = groups(at, box, narrow ? 2 : 3);
  const hatch = svg(
    "pattern",
    { id: "sv-beyond", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("line", { x1: 0, y1: 0, x2: 0, y2: 7, stroke: "var(--line2)", "stroke-width": 1 }),
  );
  const clip = svg(
    "clipPath",
    { id: "sv-within" },
    svg("rect", {
      x: box.left - 8,
      y: box.ceiling,
      width: box.right - box.left + 8,
      height: box.bottom - box.ceiling + 8,
    }),
  );
  put(parts.svg, { width: wide, height: tall, viewBox: `0 0 ${wide} ${tall}` });
  parts.svg.replaceChildren(
    svg("defs", null, hatch, clip),
    svg("path", {
      d: `${path(curve)}L${box.right},${box.ceiling}L${box.left},${box.ceiling}Z`,
      fill: "url(#sv-beyond)",
    }),
    grid(at, box, narrow),
    svg(
      "g",
      { "clip-path": "url(#sv-within)" },
      traces.map((one) => one.node),
    ),
    svg("path", {
      d: path(curve),
      fill: "none",
      stroke: "var(--amber)",
      "stroke-width": 3.5,
      "stroke-linejoin": "round",
      "stroke-linecap": "round",
    }),
    svg("g", null, found.map(mark)),
    words(found, curve, strokes, box),
  );
  outside(hidden);
  describe(frontier);
}

// The best place for words inside the hatched region.
function region(limit, box, wide, marks) {
  for (let top = box.ceiling + 30; top >= box.ceiling; top -= 4) {
    for (let left = box.left + 12; left < box.left + 120; left += 12) {
      const spot = { left, right: left + wide, top, bottom: top + 17 };
      if (
        spot.bottom < limit(spot.right) - 4 &&
        spot.right < box.right &&
        marks.every((other) => labels.apart(spot, other))
      )
        return spot;
    }
  }
  return { left: box.left + 12, right: box.left + 12 + wide, top: box.ceiling + 1, bottom: box.ceiling + 18 };
}

function tell(node, group) {
  card.tell(
    node,
    group.rows
      .map((one) => [one.rule, knobWords(one)].filter(Boolean).join(" "))
      .slice(0, 4)
      .join(", "),
    [
      `Accepts ${percent(group.rows[0].acceptance, 1)} % at ${nats(group.rows[0].kl)} nats.`,
      group.rows[0].short > 5e-4
        ? `The best rule accepts ${percent(group.rows[0].short, 1)} points more there.`
        : "No rule accepts more there.",
      boot.rules[group.rows[0].rule].summary,
    ],
  );
}

// Rows beyond the edges of the plot, in words under it.
function outside({ right, below }) {
  const say = (one) => [
    el(
      "button.link",
      {
        type: "button",
        onclick: () => {
          state.focus = one.id;
          play.changed("focus");
        },
      },
      [one.rule, knobWords(one)].filter(Boolean).join(" "),
    ),
    ` ${percent(one.acceptance)} % at ${nats(one.kl)}`,
  ];
  const list = (rows, lead) =>
    rows.length
      ? [
          lead,
          rows.slice(0, 6).flatMap((one, i) => [i ? ", " : "", ...say(one)]),
          rows.length > 6 ? ` and ${rows.length - 6} more` : "",
          ". ",
        ]
      : [];
  parts.beyond.replaceChildren(...[list(right, "Further right → "), list(below, "Further down ↓ ")].flat(Infinity));
}

function describe(frontier) {
  const reach =
    frontier.outside > 0
      ? `The frontier ends at ${percent(frontier.end.acceptance, 1)} %: the verifier rules out ` +
        `${percent(frontier.outside, 1)} % of the draft, and only an infinite divergence keeps that.`
      : `Everything can be kept from ${nats(frontier.end.kl)} nats on: there the draft itself is written.`;
  set(parts.caption, `Each mark is a rule, each thin line its knob. ${reach}`);
  put(parts.svg, {
    "aria-label":
      `Acceptance against true divergence. Strict sampling accepts ${percent(frontier.start.acceptance, 1)} % ` +
      `at 0 nats. ${reach} The table below holds every rule's numbers.`,
  });
}

const AXES = ["KL(output law ‖ verifier), nats", "acceptance, %"];

// The chart for a talk, at a width of its own.
function figure() {
  const { frontier, rows, focus } = play.now;
  const drawn = () => {
    render(FIGURE);
    const copy = parts.svg.cloneNode(true);
    render();
    return copy;
  };
  const point = (series, { kl, acceptance }, more = "") => [series, kl, 100 * acceptance, more];
  return {
    title: "Acceptance against true divergence",
    subtitle: "Each mark is a rule, each thin line its knob; beyond the thick line no rule can be.",
    axes: AXES,
    foot: [
      `${state.names.length} tokens`,
      `in focus: ${[focus.rule, knobWords(focus)].filter(Boolean).join(" ")}`,
      "exact",
    ],
    draw: drawn,
    rows: [
      ["series", ...AXES, "knobs"],
      ...rows.map((one) =>
        point(
          one.rule,
          one,
          Object.entries(one.knobs)
            .map((pair) => pair.join("="))
            .join(" "),
        ),
      ),
      ...frontier.curve(100).map((one) => point("best any rule can do", one)),
    ],
  };
}

export function build() {
  parts.svg = svg("svg", { class: "playchart", role: "img" });
  parts.holder = el("div.chartholder", null, parts.svg);
  parts.caption = el("p.caption");
  parts.beyond = el("p.caption.beyond");
  let seen = 0;
  new ResizeObserver(() => {
    const now = parts.holder.clientWidth;
    if (now && now !== seen && play.now) {
      seen = now;
      render();
    }
  }).observe(parts.holder);
  return el(
    "section.plot.playfigure",
    { "aria-label": "Acceptance against true divergence" },
    head("Acceptance against true divergence", parts.caption, figure, el("span.badge.exact", null, "exact")),
    parts.holder,
    parts.beyond,
  );
}
