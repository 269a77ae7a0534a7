// Who proposed what, in a lane whose drafter stands for several, or for several layers.
import { el } from "specviz/core/dom.js";
import { percent } from "specviz/core/formats.js";
import * as provenance from "specviz/core/provenance.js";

const VOICES = 4; // marks of voices, see drafters.css

// A drafted token of a lane with several voices is marked with the one that proposed it.
/**
 * @param {LaneView} view
 * @param {Round} round
 * @param {Element} node
 */
export function sign(view, { given, tokens }, node) {
  if (!given.provenance) return;
  tokens.slice(0, given.drafted.length).forEach(({ slot }, i) => {
    const name = provenance.voice(given, slot);
    if (name === null) return;
    if (!view.spoke.includes(name)) view.spoke.push(name);
    node.children[i].classList.add("voiced", `voice${view.spoke.indexOf(name) % VOICES}`);
  });
}

// How much of what was drafted each voice proposed.
/**
 * @param {LaneView} view
 * @param {Lane} lane
 * @param {number} rounds
 */
export function tally(view, lane, rounds) {
  const all = provenance.voices(lane, rounds);
  const total = all.reduce((sum, { drafted }) => sum + drafted, 0);
  view.voices.hidden = !total;
  view.voices.replaceChildren(
    ...all.flatMap(({ name, drafted, judged, kept }, i) => [
      i ? ", " : "Drafted by ",
      el(
        "span",
        { title: `${drafted} drafted, ${judged} judged, ${kept} kept` },
        el(`i.voiced.voice${i % VOICES}`),
        `${name} (${percent(drafted / total, 0)} %)`,
      ),
    ]),
  );
}
