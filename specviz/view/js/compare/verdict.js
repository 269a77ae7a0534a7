// Whether a lane's answer is right, where the prompt's answer is known: a tick or a cross beside its figures.
import { claim } from "specviz/core/answers.js";
import { boot } from "specviz/core/boot.js";
import * as continued from "specviz/core/continued.js";
import { el, set } from "specviz/core/dom.js";
import { state } from "specviz/core/state.js";
import * as store from "specviz/core/store.js";

const expected = () => boot.prompts.find((one) => one.text === state.run?.trace.prompt)?.expected;

/** @param {Lane} lane */
function why(lane) {
  if (lane.rule === "plain") return "The verifier by itself gets it wrong.";
  if (lane.lossless) return "Lossless means the verifier's own odds: it is wrong as often as the verifier.";
  const count = lane.sums[lane.sums.length - 1].relaxed;
  if (!count) return "Nothing was kept by leniency.";
  return `${count === 1 ? "One token was" : `${count} tokens were`} kept by leniency.`;
}

export function build() {
  const [mark, said, rest, why] = [el("span.mark", { "aria-hidden": "true" }), el("b"), el("span"), el("small")];
  const node = el("p.answer", { hidden: true }, mark, el("span", null, said, rest, " ", why));
  return { node, mark, said, rest, why };
}

// `over`: the lane has ended, and the playhead is there. Before that the line keeps its room.
/**
 * @param {VerdictView} view
 * @param {Lane | null} lane
 * @param {boolean} [over]
 */
export function draw(view, lane, over = false) {
  const answer = expected();
  view.node.hidden = !answer || !lane;
  if (!answer || !lane) return;
  const found = over ? claim(continued.givenText(state.run) + store.text(lane), answer) : null;
  const wrong = over && !found?.right;
  view.node.classList.toggle("right", Boolean(found?.right));
  view.node.classList.toggle("wrong", wrong);
  set(view.mark, found?.right ? "✓" : wrong ? "✕" : "");
  set(view.said, found ? found.said : over ? "No answer" : "");
  set(view.rest, !over ? `Expected answer: ${answer}` : found?.right ? " is right." : `, expected ${answer}.`);
  set(view.why, wrong ? why(lane) : "");
  view.node.title = over ? view.node.textContent : "";
}
