// The picture of a round's tree, of what core/forest.js has laid out; compare/treelist.js is the same as a list.
import * as forest from "specviz/core/forest.js";
import { named, prob } from "specviz/core/formats.js";
import { onDisplay, pickedToken } from "specviz/core/state.js";
import * as store from "specviz/core/store.js";
import { svg, width } from "specviz/parts/svg.js";
import * as chances from "specviz/compare/chances.js";

const PILL = 34; // px: height of a node
const TOP = 40; // of the names of the places,
const CHANCES = 24; // and of what is said of their candidates
const JUDGED = 88; // a row with a node that was judged, and one without
const UNREAD = 62;
const OWN = 150; // px: of the verifier's own word
const TIGHT = 170; // px from place to place: below it a node is said in letters,
const STEP = 104; // and below this the picture is drawn smaller,
const SMALLEST = 0.8; // but no smaller than this; a tree that is deeper still scrolls
const SIZE = 12.5; // px: of the words beside the nodes,
const LARGER = 13.5; // and where all is drawn smaller

/**
 * @param {string} words
 * @param {number} x
 * @param {number} y
 * @param {Record<string, string | number | null>} more
 */
const text = (words, x, y, more = {}) => svg("text", { x, y, fill: "var(--ink2)", ...more }, words);
// A token as a word: without the space that leads it, unless it is nothing else.
/** @param {Token} token */
export const plain = (token) => named(token.text.replace(/^ +(?=\S)/, ""));
/**
 * @param {string} name
 * @param {number} room
 */
const short = (name, room) => {
  const letters = [...name];
  const fits = Math.max(3, Math.floor(room / 9.6));
  return letters.length > fits ? `${letters.slice(0, fits - 1).join("")}…` : name;
};

/** @typedef {{ words: string, wide: number, long: number }} Size of a node, and its name as it fits in */

const HALO = { stroke: "var(--sheet)", "stroke-width": 4, "stroke-linejoin": "round", "paint-order": "stroke" };

// How each fate looks: fill, edge and ink of the node, and the line that leads to it.
/** @type {Record<string, { fill: string, edge: string, ink: string, line: string, dash?: string }>} */
const LOOKS = {
  accepted: { fill: "var(--sunk)", edge: "none", ink: "var(--ink)", line: "var(--ink)" },
  relaxed: { fill: "var(--amber-bg)", edge: "none", ink: "var(--ink)", line: "var(--amber)" },
  rejected: { fill: "var(--sheet)", edge: "var(--line2)", ink: "var(--red-ink)", line: "var(--red)", dash: "5 3" },
  discarded: { fill: "none", edge: "var(--line2)", ink: "var(--ink3)", line: "var(--line2)", dash: "2 4" },
};

// What is said of a node below it; `letters`: in so few.
/**
 * @param {Round} round
 * @param {Token} token
 * @param {number} elder
 */
export function said(round, token, elder, letters = false) {
  const law = forest.lawOf(round, token);
  const own = forest.chosen(round, token) ? "chosen" : law === null ? "" : `${letters ? "p" : "draft"} ${prob(law)}`;
  const verifier = letters ? "q" : elder < 0 ? "verifier" : "what is left";
  const asked = token.judged >= 0 ? `${verifier} ${prob(token.verifier)}` : "";
  return [own, asked].filter(Boolean).join(" · ");
}

// What stands before the round: the end of the text so far.
/**
 * @param {Lane} lane
 * @param {Round} round
 */
function before(lane, round) {
  const written = lane.tokens.slice(0, round.first).filter((token) => !token.cut);
  const own = written.map((token) => token.shown).join("");
  return named((own || onDisplay().trace.prompt).replace(/\s+/g, " ").slice(-12).trimStart());
}

/**
 * @param {number} x
 * @param {number} y
 * @param {number} long
 * @param {Token} token
 */
function bar(x, y, long, token) {
  const at = x + long * Math.min(1, token.uniform);
  return svg(
    "g",
    null,
    svg("rect", { x, y, width: long, height: 8, rx: 2, fill: "var(--sunk)" }),
    svg("rect", {
      x,
      y,
      width: Math.max(1, long * token.accept),
      height: 8,
      rx: 2,
      fill: token.fate === "relaxed" ? "var(--amber)" : "var(--mute)",
    }),
    svg("line", { x1: at, x2: at, y1: y - 3, y2: y + 11, stroke: "var(--ink)", "stroke-width": 2 }),
    text(`φ ${prob(token.accept)}`, x + long + 8, y + 8, HALO),
  );
}

/**
 * @param {number} x1
 * @param {number} y1
 * @param {number} x2
 * @param {number} y2
 */
const curve = (x1, y1, x2, y2) => {
  const middle = (x1 + x2) / 2;
  return `M${x1},${y1}C${middle},${y1} ${middle},${y2} ${x2},${y2}`;
};

// Whether there is so little room from place to place that less is said of a node.
/**
 * @param {number} depth
 * @param {number} wide
 */
export const tight = (depth, wide) => spread(depth, wide).step < TIGHT;

// Where the places of a tree stand in a picture `wide` px wide: the first, the steps between them, how wide all is, and the room for
// what stands before the first.
/**
 * @param {number} depth
 * @param {number} wide
 */
function spread(depth, wide) {
  const step = Math.min(280, (wide - OWN) / (depth + 1.15));
  if (step >= TIGHT) {
    const first = Math.min(250, step * 1.15);
    return { first, step, total: wide, space: first - 96 };
  }
  const first = 130;
  const close = Math.max(STEP, (wide - OWN - first) / depth);
  return { first, step: close, total: Math.max(wide, first + close * depth + OWN), space: first - 56 };
}

// The tree from left to right, in a picture `wide` px wide; `explain` is told of a place of which more is asked.
/**
 * @param {Lane} lane
 * @param {Round} round
 * @param {Forest} forest
 * @param {number} wide
 * @param {(place: number, chance: chances.Chance) => void} explain
 */
export function drawn(lane, round, { nodes, root, rows, depth, own }, wide, explain) {
  const { first, step, total, space } = spread(depth, wide);
  const letters = step < TIGHT;
  const long = letters ? step - 58 : step < 180 ? 92 : 116;
  /** @param {number} place */
  const x = (place) => first + step * place;
  const judgedRows = new Set(nodes.filter(({ token }) => token.judged >= 0).map(({ row }) => Math.round(row)));
  const known = [...chances.chances(lane, round)];
  const tops = [TOP + (known.length ? CHANCES : 0)];
  for (let row = 0; row < rows; row += 1) tops.push(tops[row] + (judgedRows.has(row) ? JUDGED : UNREAD));
  /** @param {number} row */
  const y = (row) => {
    const low = Math.floor(row);
    const share = row - low;
    return tops[low] + PILL / 2 + 6 + share * ((tops[low + 1] ?? tops[low]) - tops[low]);
  };
  const high = Math.max(tops[rows], y(root) + 40) + 8;
  const room = step - (letters ? 46 : 64);
  const picked = pickedToken();
  const sizes = new Map(
    nodes.map(({ slot, token }) => {
      const words = short(plain(token), room);
      return [slot, { words, long, wide: Math.max(48, width(words, 17) + 30) }];
    }),
  );
  /** @param {TreeNode} node */
  const sizeOf = ({ slot }) => /** @type {Size} */ (sizes.get(slot));
  let start = before(lane, round);
  while (start.length > 2 && width(start, 16) + 20 > space) start = `…${start.replace(/^…/, "").slice(1)}`;
  const rootWide = Math.min(space, width(start, 16) + 28);
  /**
   * @param {number} parent
   * @returns {[number, number]}
   */
  const from = (parent) => {
    if (parent < 0) return [rootWide, y(root)];
    const node = /** @type {TreeNode} */ (nodes.find(({ slot }) => slot === parent));
    return [x(node.depth) + sizeOf(node).wide, y(node.row)];
  };
  const lines = nodes.map(({ token, parent, row, depth: place }) => {
    const look = LOOKS[token.fate];
    const law = forest.lawOf(round, token) ?? 0.3;
    const kept = !token.cut;
    return svg("path", {
      d: curve(...from(parent), x(place), y(row)),
      fill: "none",
      stroke: look.line,
      "stroke-width": (kept || token.fate === "rejected" ? 1.6 : 1.2) + 3 * law,
      "stroke-dasharray": look.dash ?? null,
    });
  });
  const arcs = nodes.flatMap(({ elder, row, depth: place, token }) => {
    const older = lane.scope === "token" && nodes.find((one) => one.slot === elder);
    if (!older || older.token.fate !== "rejected" || token.judged < 0) return [];
    const share = forest.left(lane, older.token);
    const [left, top, bottom] = [x(place), y(older.row) + 10, y(row) - 10];
    const words = share === null ? "" : `${step < 200 ? "" : "leaves "}${Math.round(100 * share)} %`;
    return [
      svg("path", {
        d: `M${left - 3},${top}C${left - 36},${top + 12} ${left - 36},${bottom - 12} ${left - 5},${bottom}`,
        fill: "none",
        stroke: "var(--red)",
        "stroke-width": 1.3,
        "marker-end": "url(#sv-leaves)",
      }),
      text(words, left - (letters ? 3 : 34), (top + bottom) / 2 + 4, {
        fill: "var(--red-ink)",
        "text-anchor": "end",
        ...HALO,
      }),
    ];
  });
  const names = Array.from({ length: depth }, (_, i) => text(`place ${i + 1}`, x(i) + 4, 18, { fill: "var(--ink3)" }));
  const above = known.map(([behind, chance]) => {
    const place = behind < 0 ? 0 : round.shape.depths[behind] + 1;
    return chances.drawn(chance, x(place) + 4, 30, step, () => explain(place, chance));
  });
  const size = Math.max(SMALLEST, Math.min(1, wide / total));
  return svg(
    "svg",
    {
      class: "treepicture",
      "font-size": size < 0.97 ? LARGER : SIZE,
      width: total * size,
      height: high * size,
      viewBox: `0 0 ${total} ${high}`,
    },
    svg(
      "defs",
      null,
      svg(
        "marker",
        { id: "sv-leaves", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto" },
        svg("path", { d: "M0,0L8,4L0,8Z", fill: "var(--red)" }),
      ),
    ),
    text("the text so far", 0, 18, { fill: "var(--ink3)" }),
    names,
    above,
    own ? text("the verifier’s own word", x(depth) - 4, 18, { fill: "var(--ink3)" }) : null,
    lines,
    own ? ownWord(round, own, from, x(depth), y) : null,
    svg("rect", { x: 0, y: y(root) - PILL / 2, width: rootWide, height: PILL, rx: 6, fill: "var(--sunk)" }),
    text(start, rootWide / 2, y(root) + 5.5, { "text-anchor": "middle", "font-size": 16, fill: "var(--ink)" }),
    arcs,
    nodes.map((node) => drawnNode(round, node, { ...sizeOf(node), letters }, x(node.depth), y(node.row), picked)),
  );
}

/**
 * @param {Round} round
 * @param {{ token: Token, row: number }} more
 * @param {(parent: number) => [number, number]} from
 * @param {number} left
 * @param {(row: number) => number} y
 */
function ownWord(round, { token, row }, from, left, y) {
  const end = round.shape.path.at(-1) ?? -1;
  const bonus = token.fate === "bonus";
  return svg(
    "g",
    { "data-slot": token.slot, class: "own" },
    svg("path", { d: curve(...from(end), left - 10, y(row)), fill: "none", stroke: "var(--blue)", "stroke-width": 2 }),
    text(short(plain(token), 130), left, y(row) + 6, {
      "font-size": 18,
      "font-weight": bonus ? 400 : 500,
      fill: "var(--blue-ink)",
      "text-decoration": bonus ? "underline dotted" : "underline",
      ...HALO,
    }),
    text(bonus ? "bonus: nothing refused" : "in place of the refused", left, y(row) + 26, HALO),
  );
}

/**
 * @param {Round} round
 * @param {TreeNode} treeNode
 * @param {Size & { letters: boolean }} size
 * @param {number} left
 * @param {number} middle
 * @param {Token | null} picked
 */
function drawnNode(round, { slot, token, elder, hidden }, { words, wide, long, letters }, left, middle, picked) {
  const look = LOOKS[token.fate];
  const selected = picked?.key === token.key;
  const judged = token.judged >= 0;
  return svg(
    "g",
    {
      role: "button",
      tabindex:
        selected || (slot === 0 && !round.tokens.some((one) => one.judged >= 0 && one.key === picked?.key)) ? 0 : -1,
      class: `node ${token.fate}`,
      "data-slot": slot,
      "aria-label": spokenOf(round, token),
      "aria-pressed": String(selected),
    },
    svg("rect", {
      x: left,
      y: middle - PILL / 2,
      width: wide,
      height: PILL,
      rx: forest.chosen(round, token) ? 3 : PILL / 2,
      fill: look.fill,
      stroke: selected ? "var(--ink)" : look.edge,
      "stroke-width": selected ? 2 : 1.2,
      "stroke-dasharray": token.fate === "discarded" && !selected ? "3 3" : null,
    }),
    token.fate === "relaxed"
      ? svg("rect", { x: left + 8, y: middle + PILL / 2 - 3, width: wide - 16, height: 2.5, fill: "var(--amber)" })
      : null,
    text(words, left + wide / 2, middle + 6, {
      "text-anchor": "middle",
      "font-size": 17,
      fill: look.ink,
      "font-style": token.fate === "discarded" ? "italic" : null,
      "text-decoration": token.fate === "rejected" ? "line-through" : null,
      style: "unicode-bidi: isolate",
    }),
    judged ? bar(left + 2, middle + 23, long, token) : null,
    text(said(round, token, elder, letters), left + 2, middle + (judged ? 46 : 33), {
      fill: "var(--ink3)",
      ...HALO,
    }),
    hidden ? text(`+${hidden} behind it`, left + wide + 8, middle + 5, { fill: "var(--ink3)" }) : null,
  );
}

// Of a node in one sentence, for who does not see it.
/**
 * @param {Round} round
 * @param {Token} token
 */
export function spokenOf(round, token) {
  const place = store.places(round).find(({ slots }) => slots.includes(token.slot));
  const rank =
    place && place.slots.length > 1 ? `candidate ${place.slots.indexOf(token.slot) + 1} of ${place.slots.length}` : "";
  const law = forest.chosen(round, token) ? "chosen" : `drawn with ${prob(forest.lawOf(round, token) ?? 0)}`;
  const judged = token.judged >= 0 ? `kept below ${prob(token.accept)}, drawn ${prob(token.uniform)}` : "never judged";
  return [named(token.text), `place ${token.position - round.start + 1}`, rank, token.fate, law, judged]
    .filter(Boolean)
    .join(", ");
}
