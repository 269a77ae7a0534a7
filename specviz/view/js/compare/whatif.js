import { offline } from "specviz/core/boot.js";
import { all, el } from "specviz/core/dom.js";
import { number, symbol } from "specviz/core/formats.js";
import { laneOf, onDisplay } from "specviz/core/state.js";
import { rejudged } from "specviz/laws/rejudged.js";
import * as rules from "specviz/laws/rules.js";
import * as controls from "specviz/compare/controls.js";
import * as fork from "specviz/compare/fork.js";

// What-if: the recorded run as another knob value would have judged it.
/** @param {LaneView} view */
export function recolour(view) {
  const lane = laneOf(view.column);
  view.text.querySelectorAll(".ghost, .changed").forEach((node) => node.classList.remove("ghost", "changed"));
  const again = lane && rejudged(onDisplay(), lane, view.column.knobs);
  view.whatif.hidden = true;
  view.summary.hidden = false;
  if (!lane || (!again && !view.wasDirty)) return;
  view.wasDirty = Boolean(again);
  const { possible, changed, first, flips } = again || { changed: new Map(), first: null };
  all(view.text, ".t").forEach((node) => {
    const token = lane.tokens[Number(node.dataset.k)];
    const now = changed.get(token.key);
    const fate = now ? now.fate : token.fate;
    ["accepted", "relaxed", "rejected", "discarded", "resampled", "bonus", "plain"].forEach((name) =>
      node.classList.toggle(name, name === fate),
    );
    node.classList.toggle("changed", (fate === "rejected") !== (token.fate === "rejected"));
    node.classList.toggle("ghost", first !== null && token.key > first);
  });
  if (!again) return;
  const knobs = rules.turned(lane, view.column.knobs);
  const what = knobs.map((name) => `${symbol(name)} ${number(view.column.knobs[name])}`).join(", ");
  let words = `${what}: no fate changes.`;
  if (!possible) words = `${what} ${rules.refusal(lane)}.`;
  else if (flips)
    words =
      `${what}: ${flips === 1 ? "one fate changes" : `${flips} fates change`}. What follows the first is ` +
      "counterfactual.";
  view.whatif.replaceChildren(
    words,
    " ",
    ...(offline
      ? []
      : [
          el("button", { type: "button", onclick: () => controls.run() }, "Re-run"),
          " ",
          first === null
            ? ""
            : el(
                "button",
                {
                  type: "button",
                  title: "Keeps the text before the first changed fate, and every lane goes on from there.",
                  onclick: () => fork.start(lane, lane.tokens[first].position),
                },
                "Re-run from there",
              ),
          " ",
        ]),
    el("button", { type: "button", onclick: () => controls.resetKnobs(view.index) }, "Undo"),
  );
  view.whatif.hidden = false;
  view.summary.hidden = true;
}
