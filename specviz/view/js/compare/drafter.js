// Who proposes the tokens: a choice among the drafters that are known, with the knobs of the chosen one.
// A drafter is {name, knobs}; null stands for a run whose lanes have drafters of their own.
import { offline } from "specviz/core/boot.js";
import * as drafters from "specviz/core/drafters.js";
import { el, set } from "specviz/core/dom.js";
import { emit } from "specviz/core/events.js";
import { state } from "specviz/core/state.js";
import * as knobs from "specviz/parts/knobs.js";
import * as models from "specviz/compare/models.js";
import * as notices from "specviz/compare/notices.js";

const parts = {};
const OWN = ""; // the choice that leaves each lane its own

function choose(name) {
  state.form.drafter = name === OWN ? null : drafters.complete({ name, knobs: {} });
  changed();
  draw();
}

function changed() {
  notices.error("drafter", "");
  emit("settings");
}

export function draw() {
  const { drafter } = state.form;
  const several = state.columns.some((column) => column.drafter) && drafters.common(state.columns, null) === null;
  const names = Object.keys(drafters.known()).filter(models.able);
  if (drafter && !names.includes(drafter.name)) names.push(drafter.name);
  parts.select.replaceChildren(
    ...(several || !drafter ? [el("option", { value: OWN }, "each its own")] : []),
    ...names.map((name) => el("option", { value: name, title: drafters.words(name).summary }, name)),
  );
  parts.select.value = drafter ? drafter.name : OWN;
  parts.select.title = drafter ? drafters.words(drafter.name).summary : "Every lane keeps the drafter it ran with.";
  const inputs = drafter ? knobs.inputs(drafter.name, drafters.words(drafter.name).knobs, drafter.knobs, changed) : [];
  parts.knobs.replaceChildren(...inputs);
  const { summary, source } = drafters.words(drafter?.name);
  set(
    parts.about,
    drafter && !drafters.usual(drafter) ? [summary, source && `${source}.`].filter(Boolean).join(" ") : "",
  );
  if (offline) lock();
}

// A replay shows what was set, and sets nothing.
function lock() {
  parts.box.querySelectorAll("select, input").forEach((control) => {
    control.disabled = true;
  });
}

export function build() {
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
  );
  parts.about = el("p.caption");
  parts.error = el("p.error", { role: "alert", "data-error": "drafter" });
  return { box: parts.box, select: parts.select, said: [parts.error, parts.about] };
}
