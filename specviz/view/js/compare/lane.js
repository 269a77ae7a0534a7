// One lane: its head, knobs, figures and the room for its text. What stands there is filled in by lanes.js.
import { boot, offline } from "specviz/core/boot.js";
import * as continued from "specviz/core/continued.js";
import { el, set } from "specviz/core/dom.js";
import { laneOf, repeats, state } from "specviz/core/state.js";
import * as store from "specviz/core/store.js";
import * as about from "specviz/parts/about.js";
import { key } from "specviz/parts/key.js";
import * as controls from "specviz/compare/controls.js";
import * as drafter from "specviz/compare/drafter.js";
import * as figures from "specviz/compare/figures.js";
import * as verdict from "specviz/compare/verdict.js";

/**
 * @param {Column} column
 * @param {number} index
 * @returns {LaneView}
 */
export function build(column, index) {
  const view = /** @type {LaneView} */ (
    /** @type {Partial<LaneView>} */ ({
      ...{ column, index, shownRounds: 0, rounds: [], live: -1, stamp: "", sought: false, wasDirty: false, spoke: [] },
    })
  );
  const known = boot.rules;
  const rule = known[column.rule] || {};
  const names = Object.keys(known).includes(column.rule) ? Object.keys(known) : [column.rule, ...Object.keys(known)];
  const choose = el(
    "select",
    {
      "aria-label": `Rule of lane ${index + 1}`,
      onchange: (event) => controls.setRule(index, event.currentTarget.value),
    },
    names.map((name) => el("option", { value: name, selected: name === column.rule }, name)),
  );
  choose.value = column.rule;
  choose.disabled = Boolean(offline);
  const by = (view.by = column.rule === "plain" ? null : drafter.ofLane(column, index));
  view.text = el(
    "div.text",
    {
      role: "listbox",
      tabindex: 0,
      "aria-label": `Text written with ${column.rule}, token by token`,
      "aria-orientation": "horizontal",
      "data-lane": index,
    },
    (view.words = el("div.words")),
    (view.cursor = el("div.cursor", { "aria-hidden": "true", hidden: true })),
  );
  view.node = el(
    "section.lane",
    { "aria-label": `Lane ${index + 1}: ${column.rule}` },
    el(
      "div.lanebar",
      null,
      el(
        "div.lanetop",
        null,
        el(
          "div.lanehead",
          null,
          key(column.rule, repeats(index)),
          choose,
          about.button(column.rule, () => column.knobs),
        ),
        by?.choice,
        el(
          "div.tail",
          null,
          state.columns.length > 1
            ? el(
                "button.iconbutton",
                {
                  type: "button",
                  "aria-label": `Remove lane ${index + 1}, ${column.rule}`,
                  title: "Remove this lane",
                  onclick: () => controls.removeLane(index),
                },
                "×",
              )
            : null,
        ),
      ),
    ),
    el(
      "div.summary",
      null,
      (view.summary = el("p", { title: rule.source || "" }, rule.summary || "")),
      (view.whatif = el("p.whatif", { hidden: true, role: "status" })),
      by?.ran,
      (view.voices = el("p.caption.voices", { hidden: true })),
    ),
    el(
      "div",
      null,
      (view.knobs = controls.knobs(column, index, by?.knobs)),
      (view.error = el("p.error.laneerror", { role: "alert", "data-error": `lane${index}` })),
    ),
    (view.figures = figures.build()).big,
    view.figures.more,
    el("div", null, (view.verdict = verdict.build()).node),
    view.text,
    el(
      "div.foot",
      null,
      (view.status = el("span", null, "")),
      el(
        "span",
        null,
        (view.count = el("span")),
        " ",
        el(
          "button",
          {
            type: "button",
            "aria-label": `Copy the text of ${column.rule}`,
            onclick: (e) => copy(view, e.currentTarget),
          },
          "Copy",
        ),
      ),
    ),
  );
  return view;
}

// The drafter of the settings has changed: the knobs of a lane's own are as they were.
/** @param {LaneView} view */
export function redraft(view) {
  if (!view.by) return;
  const { choice, ran } = drafter.ofLane(view.column, view.index);
  view.by.choice.replaceWith(choice);
  view.by.ran.replaceWith(ran);
  Object.assign(view.by, { choice, ran });
}

/**
 * @param {LaneView} view
 * @param {HTMLElement} button
 */
async function copy(view, button) {
  const lane = laneOf(view.column);
  if (!lane) return;
  const text = continued.givenText(state.run) + store.text(lane);
  try {
    await navigator.clipboard.writeText(text);
    set(button, "Copied");
  } catch {
    const range = document.createRange();
    range.selectNodeContents(view.text);
    const selection = getSelection();
    selection?.removeAllRanges();
    selection?.addRange(range);
    set(button, "Selected");
  }
  setTimeout(() => set(button, "Copy"), 1600);
}
