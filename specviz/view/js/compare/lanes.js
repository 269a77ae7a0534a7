// The lanes together: texts that grow and follow the playhead, cursors, marks, tabs.
import { all, el, hit, inside, set } from "specviz/core/dom.js";
import { on } from "specviz/core/events.js";
import { named, seconds } from "specviz/core/formats.js";
import { done, laneOf, onDisplay, pickedToken, state, titleOf } from "specviz/core/state.js";
import * as store from "specviz/core/store.js";
import * as card from "specviz/parts/card.js";
import { tokenNode } from "specviz/parts/tokens.js";
import * as figures from "specviz/compare/figures.js";
import * as fork from "specviz/compare/fork.js";
import { build, redraft } from "specviz/compare/lane.js";
import * as offers from "specviz/compare/offers.js";
import * as verdict from "specviz/compare/verdict.js";
import * as voices from "specviz/compare/voices.js";
import { recolour } from "specviz/compare/whatif.js";

/** @type {HTMLElement} */
let box;
/** @type {HTMLElement} */
let tabs;
/** @type {LaneView[]} */
let views = [];
let ticket = 0;
const FIRST = 480; // tokens that are there at once, of all lanes together
const SLICE = 150; // and those of each task that brings the rest

/**
 * @param {LaneView} view
 * @param {Lane} lane
 * @param {Round} round
 */
function appendRound(view, lane, round) {
  const node = el("span.round", { "data-r": round.index });
  round.tokens.forEach((token) => {
    const end =
      !token.special &&
      lane.finished === "end of text" &&
      !token.cut &&
      round === lane.rounds[lane.rounds.length - 1] &&
      token === lane.tokens.findLast((one) => !one.cut) &&
      /^<.*>$|^$/.test(token.text.trim());
    node.append(tokenNode(token, end));
  });
  space(lane, round, node);
  voices.sign(view, round, node);
  offers.mark(round, node);
  round.mended.forEach((token) => {
    const old = view.rounds[token.round]?.querySelector(`[data-k="${token.key}"]`);
    const made = old && tokenNode(token, false);
    if (made) {
      made.classList.add(...old.classList);
      offers.keep(old, made);
      old.replaceWith(made);
    }
  });
  view.rounds.push(node);
  view.words.append(node);
}

// A cut token that touches a kept one inside a word or number stands a little apart from it.
/**
 * @param {Lane} lane
 * @param {Round} round
 * @param {HTMLElement} node
 */
function space(lane, round, node) {
  round.tokens.forEach((token, i) => {
    if (!token.cut) return;
    const before = lane.tokens[token.key - 1];
    const after = round.tokens[i + 1];
    /** @param {Token} right */
    const glued = (right) => right && !right.special && !/^\s/.test(right.text);
    if (before && !before.cut && glued(token)) node.children[i].classList.add("tightleft");
    if (after && !after.cut && glued(after)) node.children[i].classList.add("tightright");
  });
}

// Puts the next rounds of a lane on the page, about `most` tokens.
/**
 * @param {LaneView} view
 * @param {number} most
 */
function grow(view, most) {
  const lane = laneOf(view.column);
  if (!lane) return;
  const over = done(lane);
  for (let count = 0; count < most && view.rounds.length < lane.rounds.length;) {
    const round = lane.rounds[view.rounds.length];
    appendRound(view, lane, round);
    view.rounds[round.index].classList.toggle("future", round.index >= over);
    count += round.tokens.length;
  }
}

/** @param {LaneView} view */
const missing = (view) => (laneOf(view.column)?.rounds.length ?? 0) - view.rounds.length;

// The rest of long texts, in tasks between which the page can do something else.
function later() {
  if (ticket || !views.some(missing)) return;
  ticket = setTimeout(() => {
    ticket = 0;
    const view = views.filter(missing).sort((a, b) => a.rounds.length - b.rounds.length)[0];
    if (!view) return;
    grow(view, SLICE);
    tick(view);
    if (!missing(view)) complete(view);
    later();
  });
}

/** @param {LaneView} view */
function complete(view) {
  recolour(view);
  mark();
  settle();
  const token = pickedToken();
  if (view.sought && token) reveal(token);
  view.sought = false;
}

/** @param {LaneView} view */
function fill(view) {
  const lane = laneOf(view.column);
  view.given = lane && fork.head();
  if (view.given) view.words.append(view.given);
  if (!lane) view.words.append(el("span.caption", null, state.run ? "Press Run to see what this rule writes." : ""));
  grow(view, FIRST / views.length);
  view.shownRounds = lane ? done(lane) : 0;
  recolour(view);
  tick(view);
}

// Brings a column to the playhead: whole rounds with their fates, the next one pending.
/** @param {LaneView} view */
function tick(view) {
  const lane = laneOf(view.column);
  if (!lane) {
    figures.draw(view.figures, view.column, null, 0);
    verdict.draw(view.verdict, null);
    view.spot = null;
    set(view.status, "");
    set(view.count, "");
    return;
  }
  const whole = state.live || state.time >= onDisplay().span;
  const now = whole ? { done: lane.rounds.length, pending: 0, phase: "done" } : store.at(lane, state.time);
  const { rounds } = view;
  const stamp = `${now.done} ${now.pending} ${now.phase} ${whole} ${state.live} ${rounds.length} ${lane.finished}`;
  if (stamp === view.stamp) {
    figures.draw(view.figures, view.column, lane, now.done);
    return;
  }
  view.stamp = stamp;
  if (view.live >= 0 && rounds[view.live]) rounds[view.live].classList.remove("live");
  view.fresh?.classList.remove("fresh");
  for (
    let i = Math.min(view.shownRounds, now.done);
    i < Math.max(view.shownRounds, now.done) && i < rounds.length;
    i += 1
  )
    rounds[i].classList.toggle("future", i >= now.done);
  if (view.shownRounds !== now.done) view.shownRounds = now.done;
  const next = now.phase === "drafting" || now.phase === "checking" ? now.done : -1;
  if (view.live >= 0 && view.live !== next && rounds[view.live]) {
    rounds[view.live].classList.toggle("future", view.live >= now.done);
    view.fresh = rounds[view.live]; // just judged: its marks fade in
    view.fresh.classList.add("fresh");
  }
  if (next >= 0 && rounds[next]) {
    const count = now.phase === "checking" ? lane.rounds[next].given.drafted.length : now.pending;
    rounds[next].classList.remove("future");
    rounds[next].classList.add("live");
    [...rounds[next].children].forEach((node, i) => node.classList.toggle("shown", i < count));
    const at = offers.last(lane.rounds[next], count);
    view.spot = at < 0 ? { before: rounds[next] } : { after: rounds[next].children[at] };
  } else
    view.spot = now.done
      ? { after: rounds[now.done - 1] }
      : rounds.length
        ? { before: rounds[0] }
        : { after: view.words.lastElementChild };
  // A lane that has ended needs no cursor, even if others go on.
  const over = now.done >= lane.rounds.length && next < 0;
  if (over && (!state.live || lane.finished)) view.spot = null;
  view.live = next;
  figures.draw(view.figures, view.column, lane, now.done);
  verdict.draw(view.verdict, lane, over && Boolean(lane.finished));
  voices.tally(view, lane, now.done);
  foot(view, lane, now, next);
}

// Cursors and scrolling, of all lanes at once: first everything is measured, then everything is moved, so that the
// browser lays the texts out once.
function settle() {
  const moves = views
    .filter((view) => view.moved !== view.stamp)
    .map((view) => {
      const { text, words, spot } = view;
      const height = text.clientHeight;
      const over = text.scrollHeight - height;
      view.moved = view.stamp;
      if (!spot) {
        const ended = view.sat; // what was followed to its end is read from its beginning
        view.sat = false;
        return { view, top: state.live ? (view.follows ? over : null) : ended ? 0 : null };
      }
      view.sat = true;
      const home = words.getBoundingClientRect();
      const rects = (spot.after || spot.before)?.getClientRects() || [];
      const rect = spot.after ? rects[rects.length - 1] : rects[0];
      const x = rect ? Math.min(home.width - 2, (spot.after ? rect.right : rect.left) - home.left) : 0;
      const y = rect ? (rect.top + rect.bottom) / 2 - home.top : 17;
      const top = state.live ? (view.follows ? over : null) : over > 0 ? Math.max(0, y + 50 - height) : null;
      return { view, top, x: x + words.offsetLeft, y: y + words.offsetTop };
    });
  moves.forEach(({ view, top, x, y }) => {
    view.cursor.hidden = x === undefined;
    if (x !== undefined)
      view.cursor.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px) translateY(-50%)`;
    if (top !== null) view.text.scrollTop = top;
  });
}

/**
 * @param {LaneView} view
 * @param {Lane} lane
 * @param {ReturnType<typeof store.at>} now
 * @param {number} next
 */
function foot(view, lane, now, next) {
  const over = now.done >= lane.rounds.length && next < 0;
  let words;
  if (over && lane.finished) {
    const [time, unit] = seconds(lane.rounds.length ? lane.rounds[lane.rounds.length - 1].to : 0);
    words = {
      "end of text": `Done in ${time} ${unit}`,
      length: `Length reached, ${time} ${unit}`,
      stopped: `Stopped after ${time} ${unit}`,
    }[lane.finished];
  } else if (next >= 0)
    words = `Round ${next + 1}, ${now.phase} ${lane.rounds[next].given.drafted.length || "one token"}`;
  else words = lane.rounds.length ? `Round ${now.done + 1}` : "Waiting";
  set(view.status, words);
  set(view.count, `${lane.sums[Math.min(now.done, lane.sums.length - 1)].emitted} tokens`);
}

function mark() {
  views.forEach((view) => {
    view.text.querySelectorAll(".selected, .same").forEach((node) => {
      node.classList.remove("selected", "same");
      node.removeAttribute("aria-selected");
      node.removeAttribute("id");
    });
    view.text.removeAttribute("aria-activedescendant");
  });
  const token = pickedToken();
  if (!token) return;
  views.forEach((view) => {
    const lane = laneOf(view.column);
    if (!lane) return;
    const own = lane.index === token.lane;
    const other = own ? token : store.writtenAt(lane, token.position);
    const node = other && view.text.querySelector(`[data-k="${other.key}"]`);
    if (!node) return;
    node.classList.add(own ? "selected" : "same");
    node.setAttribute("aria-selected", own ? "true" : "false");
    node.id = `token-${view.index}`;
    node.setAttribute(
      "aria-label",
      `${named(other.text)}, ${other.fate}, position ${other.position}${own ? "" : ", same position"}`,
    );
    if (own) view.text.setAttribute("aria-activedescendant", node.id);
  });
}

/** @param {Token} token */
function reveal(token) {
  const view = views.find((one) => laneOf(one.column)?.index === token.lane);
  const node = view && inside(view.text, `[data-k="${token.key}"]`);
  if (!node) {
    if (view) view.sought = true;
    return;
  } // not there yet, see `later`
  const top = node.offsetTop;
  if (top < view.text.scrollTop || top > view.text.scrollTop + view.text.clientHeight - 44)
    view.text.scrollTop = Math.max(0, top - view.text.clientHeight / 2);
  if (matchMedia("(max-width: 860px)").matches) front(view.index);
}

/** @param {number} index */
function front(index) {
  state.front = index;
  views.forEach((view) => {
    view.node.classList.toggle("front", view.index === index);
    view.moved = undefined;
  });
  settle(); // what is not shown cannot be measured
  all(tabs, "button").forEach((tab, i) => {
    tab.setAttribute("aria-selected", String(i === index));
    tab.tabIndex = i === index ? 0 : -1;
  });
}

function tabFigures() {
  views.forEach((view, i) => {
    const small = tabs.children[i]?.querySelector("small");
    if (small) set(small, view.figures.parts.emitted_per_round.value.textContent);
  });
}

// The figures alone, where no text has changed.
function refigure() {
  views.forEach((view) => {
    const lane = laneOf(view.column);
    figures.draw(view.figures, view.column, lane, lane ? done(lane) : 0);
  });
  tabFigures();
}

/** @param {number} height */
const hold = (height) => views.forEach((view) => view.text.style.setProperty("--hold", `${height}px`));

function draw() {
  const tallest = Math.max(0, ...views.map((view) => view.text.offsetHeight));
  [box, tabs].forEach((node) => node.style.setProperty("--lanes", String(state.columns.length)));
  clearTimeout(ticket);
  ticket = 0;
  views = state.columns.map(build);
  hold(state.live ? tallest : 0); // a new run starts in the space of the last
  box.replaceChildren(...views.map((view) => view.node));
  tabs.replaceChildren(
    ...views.map((view, i) =>
      el(
        "button",
        { type: "button", role: "tab", onclick: () => front(i) },
        titleOf(view.column),
        el("small", null, "–"),
        el("i", null, "written per call"),
      ),
    ),
  );
  views.forEach(fill);
  front(Math.min(state.front, views.length - 1));
  tabFigures();
  mark();
  later();
}

/**
 * @param {HTMLElement} parent
 * @param {HTMLElement} tabParent
 */
export function mount(parent, tabParent) {
  box = parent;
  tabs = tabParent;
  tabs.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    front((state.front + by + views.length) % views.length);
    all(tabs, "button")[state.front].focus();
    event.preventDefault();
  });
  offers.watch(box);
  on("run columns", draw);
  on("append", () => {
    // A reader who has scrolled back up stays where they are.
    views.forEach((view) => {
      view.follows = view.text.scrollTop + view.text.clientHeight >= view.text.scrollHeight - 60;
    });
    views.forEach((view) => grow(view, SLICE));
    later();
    views.forEach(tick);
    settle();
    tabFigures();
  });
  on("time", () => {
    views.forEach(tick);
    settle();
    tabFigures();
  });
  on("ended", () => hold(0));
  on("settings form", () => views.forEach(redraft));
  on("whatif", (index) => {
    recolour(views[index]);
    refigure();
  });
  on("costs", refigure);
  on("pick", () => {
    mark();
    const token = pickedToken();
    if (token) reveal(token);
  });
  card.watch(box, (event) => {
    const node = hit(event, ".t");
    const view = views[Number(hit(event, ".text")?.dataset.lane)];
    const lane = view && laneOf(view.column);
    return node && lane ? { node, token: lane.tokens[Number(node.dataset.k)], lane } : null;
  });
}
