// Who proposes the tokens: a choice among the drafters that are known, with the knobs of the chosen one; for all lanes in
// the form, and in the head of each lane for that lane alone. A drafter is {name, knobs}.
import { offline } from "specviz/core/boot.js";
import * as drafters from "specviz/core/drafters.js";
import { all, el, set } from "specviz/core/dom.js";
import { emit } from "specviz/core/events.js";
import { laneOf, state } from "specviz/core/state.js";
import * as knobs from "specviz/parts/knobs.js";
import * as models from "specviz/compare/models.js";
import * as notices from "specviz/compare/notices.js";

/**
 * @typedef {{
 *   select: HTMLSelectElement, knobs: HTMLElement, box: HTMLElement, about: HTMLElement, error: HTMLElement,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({});
const FORM = ""; // the choice of a lane that has none of its own

/** @param {string} name */
function choose(name) {
  state.form.drafter = drafters.complete({ name, knobs: {} });
  changed();
  draw();
}

function changed() {
  notices.error("drafter", "");
  emit("settings");
}

// The drafters that can work with the chosen pair, and `also`, which a run may have had.
/** @param {string} [also] */
function names(also) {
  const able = Object.keys(drafters.known()).filter(models.able);
  return !also || able.includes(also) ? able : [...able, also];
}

/** @param {string} name */
const option = (name) => el("option", { value: name, title: drafters.words(name).summary }, name);

// {choice, knobs, ran}: "by model" in the head of a lane, the knobs of a drafter of its own, and who drafted what is on
// display where that is another.
/**
 * @param {Column} column
 * @param {number} index
 * @returns {DrafterView}
 */
export function ofLane(column, index) {
  const { drafter } = column;
  const inForm = state.form.drafter;
  const lane = laneOf(column);
  const select = el(
    "select",
    {
      "aria-label": `Drafter of lane ${index + 1}`,
      disabled: Boolean(offline),
      onchange: (event) => own(index, event.currentTarget.value),
    },
    el("optgroup", { label: "As in the settings" }, el("option", { value: FORM }, inForm.name)),
    el("optgroup", { label: "In this lane alone" }, names(drafter?.name).map(option)),
  );
  select.value = drafter ? drafter.name : FORM;
  const now = drafter ?? inForm;
  const ran = lane?.drafter && !drafters.same(lane.drafter, now) ? lane.drafter : null;
  const about = drafters.words(now.name).summary;
  const known = drafter ? drafters.words(drafter.name).knobs : [];
  return {
    choice: el(
      drafter ? "label.by.own" : "label.by",
      { title: drafter ? about : `As in the settings. ${about}` },
      el("span", null, "by"),
      select,
    ),
    knobs: drafter && known.length ? folded(index, drafter, known) : null,
    ran: el(
      "p.caption.drafted",
      { hidden: !ran },
      ran ? `On display: drafted by ${drafters.label(ran)}. Run to see the other.` : "",
    ),
  };
}

// The knobs of a lane's own drafter, in a panel over the lane.
/**
 * @param {number} index
 * @param {Drafter} drafter
 * @param {Knob[]} known
 */
function folded(index, drafter, known) {
  const line = el("summary");
  const say = () => set(line, drafters.label(drafter).split(", ").slice(1).join(", ") || `${drafter.name}'s knobs`);
  const changedHere = () => {
    say();
    ownChanged(index);
  };
  say();
  const inputs = knobs.inputs(`lane ${index + 1}'s ${drafter.name}`, known, drafter.knobs, changedHere);
  const box = el("details.ofdrafter", null, line, el("div.ofdrafterpanel", null, inputs));
  lock(box);
  return box;
}

// A lane's own drafter; FORM takes it away.
/**
 * @param {number} index
 * @param {string} name
 */
function own(index, name) {
  state.columns[index].drafter = name === FORM ? null : drafters.complete({ name, knobs: {} });
  ownChanged(index);
  emit("columns");
  all(document, ".sv .lanetop .by select")[index]?.focus();
}

/** @param {number} index */
function ownChanged(index) {
  notices.error(`lane${index}`, "");
  emit("settings");
}

const LANES = 3;

// Lanes of one rule, that of the lane in front, with drafters as unlike as there are. Trees, which not every rule can
// judge, are left to choose by hand.
export function columns() {
  const drafting = state.columns.filter(({ rule }) => rule !== "plain");
  const front = state.columns[state.front];
  const { rule, knobs: values } = front && front.rule !== "plain" ? front : (drafting[0] ?? front);
  const first = state.form.drafter;
  const others = names().filter((name) => name !== first.name && !drafters.words(name).branches);
  return drafters.unlike([first.name, ...others], LANES).map((name) => {
    const drafter = name === first.name ? first : drafters.complete({ name, knobs: {} });
    const from = (state.run?.lanes ?? []).findIndex(
      (lane) => lane.rule === rule && lane.drafter && drafters.same(lane.drafter, drafter),
    );
    return { rule, knobs: { ...values }, drafter: drafter === first ? null : drafter, from: from < 0 ? null : from };
  });
}

export function draw() {
  const { drafter } = state.form;
  const { summary, source, knobs: known } = drafters.words(drafter.name);
  parts.select.replaceChildren(...names(drafter.name).map(option));
  parts.select.value = drafter.name;
  parts.select.title = summary;
  parts.knobs.replaceChildren(...knobs.inputs(drafter.name, known, drafter.knobs, changed));
  set(parts.about, models.suited(drafter) ? "" : [summary, source && `${source}.`].filter(Boolean).join(" "));
  lock(parts.box);
}

// A replay shows what was set, and sets nothing.
/** @param {HTMLElement} box */
function lock(box) {
  if (!offline) return;
  all(box, "select, input").forEach((control) => {
    control.toggleAttribute("disabled", true);
  });
}

// `compare` is called when several are asked for at once.
/** @param {() => void} compare */
export function build(compare) {
  parts.select = el("select", {
    "aria-label": "Drafter",
    "data-field": "drafter",
    onchange: () => choose(parts.select.value),
  });
  parts.knobs = el("span.drafterknobs");
  parts.box = el(
    "span.drafter",
    null,
    el("label.field", { title: "Who proposes the tokens that the verifier checks." }, "Drafter", parts.select),
    parts.knobs,
    offline
      ? null
      : el(
          "button.linkbutton",
          {
            type: "button",
            "aria-label": "Compare drafters",
            title: "Three lanes of one rule, each with another drafter; runs them.",
            onclick: compare,
          },
          "Compare",
        ),
  );
  parts.about = el("p.caption.aboutdrafter");
  parts.error = el("p.error", { role: "alert", "data-error": "drafter" });
  return { box: parts.box, about: parts.about, error: parts.error };
}
