// The round's tree: every candidate with its fate and its law, the draws on their acceptance bars, what an elder leaves to the
// younger, and the verifier's own word. Wide it is a picture from left to right, narrow a list with indents.
import { calm, el, hit, inside, set } from "specviz/core/dom.js";
import { on } from "specviz/core/events.js";
import * as forest from "specviz/core/forest.js";
import { label, nats, prob } from "specviz/core/formats.js";
import { measured, onDisplay, pick, pickedToken, shown, state } from "specviz/core/state.js";
import * as store from "specviz/core/store.js";
import * as sets from "specviz/laws/sets.js";
import * as chances from "specviz/compare/chances.js";
import * as picture from "specviz/compare/picture.js";
import * as treelist from "specviz/compare/treelist.js";

const NARROW = 720; // px: below it the tree is a list
/** @type {Record<string, string>} by the scope of a rule */
const READING = {
  token:
    "At each place the eldest is asked first; what it leaves of the verifier’s mass is what the younger is judged by.",
  block:
    "This rule judges paths: what follows a node is looked at before the node, and the first that passes is kept with its path.",
};
const KEY = "Rounded: drawn. Square: chosen. The bar ends at φ, the line is the draw u: left of φ it is kept.";
const LETTERS = "p: the draft’s, q: the verifier’s, or what is left of it.";
/**
 * @typedef {{
 *   words: HTMLElement, count: HTMLElement, before: HTMLButtonElement, after: HTMLButtonElement,
 *   fold: HTMLButtonElement, body: HTMLElement, figures: HTMLElement, box: HTMLElement, reading: HTMLElement,
 *   note: HTMLElement,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({});
/** @type {{ lane: Lane, round: Round, most: number, folded: boolean } | null} */
let now = null; // {lane, round, most, folded}; `most`: how many rows there may be without folding

// The lane and round to show: those of the selected token; else the first tree there is.
function wanted() {
  const token = pickedToken();
  /**
   * @param {Lane} lane
   * @param {Round | undefined} round
   */
  const of = (lane, round) => (round?.shape.tree ? { lane, round } : null);
  if (token) return of(onDisplay().lanes[token.lane], onDisplay().lanes[token.lane].rounds[token.round]);
  const lane = shown().find((one) => one.lane.rounds.some(({ shape }) => shape.tree))?.lane;
  return lane
    ? of(
        lane,
        lane.rounds.find(({ shape }) => shape.tree),
      )
    : null;
}

// The candidates of each level where they are as many behind every node: "3, then 2, then 1".
/** @param {Round} round */
function shapeWords({ shape }) {
  /** @type {number[]} */
  const counts = [];
  [-1, ...shape.parents.keys()].forEach((slot) => {
    const depth = slot < 0 ? 0 : shape.depths[slot] + 1;
    const many = shape.parents.filter((parent) => parent === slot).length;
    if (many) counts[depth] = Math.max(counts[depth] ?? 0, many);
  });
  return `${counts.join(", then ")} ${counts.length === 1 && counts[0] === 1 ? "candidate" : "candidates"}`;
}

// How the candidates of a lane came, as its drafter says; undefined where it has no such knob.
/** @param {Lane} lane */
const drawingOf = (lane) =>
  Object.values(lane.drafter?.knobs ?? {}).find((value) => Object.hasOwn(sets.DRAWINGS, value));

// What was looked at, kept, spent: [number, what it is, more, kind].
/**
 * @param {Lane} lane
 * @param {Round} round
 */
function figures(lane, round) {
  const { drafted, kept, emitted, verify_seconds: look, judged } = round.given;
  const out = [
    [
      `${kept} of ${drafted.length}`,
      "nodes kept",
      `${emitted.length} ${emitted.length === 1 ? "token" : "tokens"} from one look`,
      measured(),
    ],
  ];
  const token = pickedToken();
  const place = token && token.round === round.index ? token.position - round.start : 0;
  const offered = store.places(round)[place]?.slots ?? [];
  const rows = offered.map((slot) => round.tokens[slot]).filter((one) => one.judged >= 0);
  const shares = rows.map((one) => forest.left(lane, one)).filter((share) => share !== null);
  if (rows.length && shares.length === rows.length && lane.lossless) {
    const all = 1 - shares.reduce((product, share) => product * share, 1);
    const words =
      rows.length > 1 ? `chance of keeping one of the ${rows.length} judged` : "chance of keeping the one judged";
    out.push([
      prob(all),
      `${words} at place ${place + 1}`,
      rows.length > 1 ? `the eldest alone: ${prob(1 - shares[0])}` : "given its law and the verifier’s",
      "exact",
    ]);
  }
  const plain =
    onDisplay()
      .lanes.find((one) => one.rule === "plain")
      ?.rounds.map(({ given }) => given.verify_seconds) ?? [];
  const usual = plain.sort((a, b) => a - b)[plain.length >> 1];
  if (look > 0)
    out.push(
      usual > 0
        ? [`${(look / usual).toFixed(1)}×`, `a look at ${drafted.length} nodes`, "over a look at one token", measured()]
        : [`${(1000 * look).toPrecision(3)} ms`, `a look at ${drafted.length} nodes`, "in one forward", measured()],
    );
  const spent = rows.length ? judged.kl_output_verifier?.[rows[0].judged] : undefined;
  if (typeof spent === "number")
    out.push([`${nats(spent)} nats`, `spent at place ${place + 1}`, "KL(output law ‖ verifier)", "exact"]);
  return el(
    "dl.treefigures",
    null,
    out.map(([value, words, more, kind]) =>
      el(
        "div",
        null,
        el("dt", null, words, el("small", null, more, " ", el(`span.badge.${kind}`, null, kind))),
        el("dd", null, value),
      ),
    ),
  );
}

/** @param {number} by */
function go(by) {
  if (!now) return;
  const rounds = now.lane.rounds.filter(({ shape }) => shape.tree);
  const next = rounds[rounds.indexOf(now.round) + by];
  if (!next) return;
  const token = next.tokens.find((one) => !one.cut) ?? next.tokens[0];
  pick(now.lane.index, token.key);
}

// Keys walk through the tree: to the parent, the first kept or first candidate behind, the neighbours of the same place.
/** @param {KeyboardEvent} event */
function walk(event) {
  const node = hit(event, "[data-slot]");
  if (!now || !node || event.altKey || event.ctrlKey || event.metaKey) return;
  const { nodes } = forest.laid(now.round, now.folded);
  const here = nodes.find(({ slot }) => slot === Number(node.dataset.slot));
  if (!here) return;
  const level = nodes.filter(({ depth }) => depth === here.depth);
  const behind = nodes.filter(({ parent }) => parent === here.slot);
  /** @type {Record<string, TreeNode | undefined>} */
  const ways = {
    ArrowLeft: nodes.find(({ slot }) => slot === here.parent),
    ArrowRight: behind.find(({ token }) => !token.cut) ?? behind[0],
    ArrowDown: level[level.indexOf(here) + 1],
    ArrowUp: level[level.indexOf(here) - 1],
    Enter: here,
    " ": here,
  };
  if (!Object.hasOwn(ways, event.key)) return;
  event.preventDefault();
  event.stopPropagation();
  const next = ways[event.key];
  if (next) select(next.token);
}

// Selects a token, and stays where the focus was.
/** @param {Token} token */
function select(token) {
  pick(token.lane, token.key);
  inside(parts.body, `[data-slot="${token.slot}"]`)?.focus({ preventScroll: true });
}

function draw() {
  const found = state.run ? wanted() : null;
  parts.box.hidden = !found;
  if (!found) return;
  const { lane, round } = found;
  const wide = parts.body.clientWidth || parts.box.clientWidth - 40;
  const most = wide < NARROW ? 4 : 9; // rows
  if (now?.round !== round || now.most !== most) now = { ...found, most, folded: forest.tooTall(round, most) };
  const rounds = lane.rounds.filter(({ shape }) => shape.tree);
  parts.words.textContent = [
    label(lane.name, lane.knobs),
    shapeWords(round),
    sets.DRAWINGS[drawingOf(lane) ?? ""],
    `${round.given.drafted.length} nodes looked at in one forward`,
  ]
    .filter(Boolean)
    .join(" · ");
  set(parts.count, `round ${round.index + 1} of ${lane.rounds.length}`);
  [parts.before.disabled, parts.after.disabled] = [rounds[0] === round, rounds.at(-1) === round];
  parts.fold.hidden = !forest.tooTall(round, most);
  set(parts.fold, now.folded ? "Show every node" : "Fold what was never judged");
  const shownTree = forest.laid(round, now.folded);
  const letters = wide >= NARROW && picture.tight(shownTree.depth, wide) ? ` ${LETTERS}` : "";
  set(parts.reading, `${READING[lane.scope]} ${KEY}${letters}`);
  parts.body.replaceChildren(
    wide < NARROW ? treelist.list(lane, round, shownTree) : picture.drawn(lane, round, shownTree, wide, explain),
  );
  set(parts.note, "");
  parts.figures.replaceChildren(figures(lane, round));
}

// What the numbers over a place are, below the picture; asked for again it is gone.
/**
 * @param {number} place
 * @param {chances.Chance} chance
 */
function explain(place, chance) {
  const words = `Place ${place + 1}. ${chances.sentence(chance)}`;
  set(parts.note, parts.note.textContent === words ? "" : words);
}

// To the tree of the round on display, and to the selected node in it.
export function show() {
  parts.box.scrollIntoView({ behavior: calm() ? "auto" : "smooth", block: "nearest" });
  inside(parts.body, '[data-slot][aria-pressed="true"]')?.focus({ preventScroll: true });
}

export function build() {
  /**
   * @param {string} words
   * @param {number} by
   * @param {string} sign
   */
  const arrow = (words, by, sign) =>
    el("button.iconbutton", { type: "button", "aria-label": words, onclick: () => go(by) }, sign);
  parts.words = el("span.caption");
  parts.count = el("span.caption");
  [parts.before, parts.after] = [arrow("Previous round with a tree", -1, "‹"), arrow("Next round with a tree", 1, "›")];
  parts.fold = el("button.plainbutton", {
    type: "button",
    onclick: () => {
      if (now) now.folded = !now.folded;
      draw();
    },
  });
  parts.body = el("div.treebody.scroller", {
    role: "group",
    "aria-label": "The candidates, by place; arrow keys move",
    onkeydown: walk,
  });
  parts.body.addEventListener("click", (event) => {
    const node = hit(event, "[data-slot]");
    const token = node && now?.round.tokens[Number(node.dataset.slot)];
    if (token) select(token);
  });
  parts.figures = el("div");
  parts.box = el(
    "section.sheet.roundtree",
    { "aria-label": "This round’s tree", hidden: true },
    el(
      "div.rowspread",
      null,
      el("div.treehead", null, el("h2", null, "This round’s tree"), parts.words),
      el("div.treenav", null, parts.fold, parts.count, parts.before, parts.after),
    ),
    (parts.reading = el("p.caption")),
    parts.body,
    (parts.note = el("p.caption.treenote", { role: "status" })),
    parts.figures,
  );
  on("pick run columns ended theme", draw);
  let seen = 0;
  new ResizeObserver(() => {
    if (parts.body.clientWidth === seen || parts.box.hidden) return;
    seen = parts.body.clientWidth;
    draw();
  }).observe(parts.box);
  return parts.box;
}
