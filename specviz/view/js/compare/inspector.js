// Everything about the selected token: where the draw fell, what each distribution says, what other rules would do.
import * as continued from "specviz/core/continued.js";
import { el } from "specviz/core/dom.js";
import { on } from "specviz/core/events.js";
import { label, named, symbol } from "specviz/core/formats.js";
import { pick, pickedToken, shown, state } from "specviz/core/state.js";
import * as store from "specviz/core/store.js";
import { rejudged } from "specviz/laws/rejudged.js";
import * as rules from "specviz/laws/rules.js";
import * as copied from "specviz/parts/passage.js";
import { bar } from "specviz/compare/abar.js";
import { facts, others, table } from "specviz/compare/evidence.js";
import * as fork from "specviz/compare/fork.js";
import * as sheet from "specviz/compare/sheet.js";
import * as tree from "specviz/compare/tree.js";

/** @type {HTMLElement} */
let box;

/** @param {string} text */
const strong = (text) => el("b", null, text);

// How many candidates were refused at a place.
/**
 * @param {Lane} lane
 * @param {Token} token
 */
const refused = (lane, { round, position }) =>
  lane.rounds[round].tokens.filter((one) => one.fate === "rejected" && one.position === position).length;

/**
 * @param {Token} token
 * @param {Lane} lane
 * @param {Facts} [facts]
 */
function sentence(token, lane, facts) {
  // At which values of the main knob the same draw would keep it.
  const from = () => {
    const kept = facts && rules.keptWords(lane, facts);
    const knob = facts && rules.keptAt(lane, facts)?.knob;
    if (!kept || !knob) return [];
    const sign = symbol(knob.name);
    if (!kept.length) return [` No ${sign} ${knob.allowed} would keep it.`];
    return [" It would be kept ", ...kept.map((part, i) => (i % 2 ? strong(part) : part)), "."];
  };
  switch (token.fate) {
    case "relaxed":
      return [
        strong("Kept by leniency."),
        ` ${facts ? rules.because(lane, facts) : ""} A strict check would have refused it.`.replace("  ", " "),
        ...from(),
      ];
    case "rejected":
      return [
        strong("Refused."),
        token.uniform < token.strict ? " A strict check would have kept it." : " A strict check refuses it too.",
        ...(lane.lossless ? [] : from()),
      ];
    case "accepted":
      return [
        strong("Kept."),
        lane.lossless
          ? " The rule is strict: it keeps it as often as the verifier would say it."
          : " A strict check keeps it too.",
      ];
    case "resampled":
      return [
        strong("The verifier's own word."),
        refused(lane, token) > 1
          ? ` All ${refused(lane, token)} candidates here were refused, so this one was drawn instead.`
          : " The drafted token here was refused, so this one was drawn instead.",
      ];
    case "bonus":
      return [strong("Extra."), " The whole draft was kept, so the verifier's look at it pays for one more token."];
    case "plain":
      return [strong("Written by the verifier alone."), " Nothing was drafted."];
    default:
      return [strong("Never judged."), ` ${store.unread(lane.rounds[token.round], token)}`];
  }
}

/**
 * @param {string} words
 * @param {Node | null} right
 */
function heading(words, right) {
  return el("div.rowspread", null, el("h3", null, words), right);
}

/**
 * @param {Lane} lane
 * @param {Token} token
 * @param {number} by
 */
function jump(lane, token, by) {
  const [, found] = store.worth(lane);
  if (!found.length) return;
  const next =
    by > 0
      ? found.find((one) => one.key > token.key) || found[0]
      : [...found].reverse().find((one) => one.key < token.key) || found[found.length - 1];
  pick(lane.index, next.key);
}

// What the other lanes wrote at the same position; their dot is explained here.
/**
 * @param {Token} token
 * @param {Lane} lane
 */
function elsewhere(token, lane) {
  const found = shown()
    .filter((one) => one.lane !== lane)
    .flatMap((one) => {
      const other = store.writtenAt(one.lane, token.position);
      return other ? [{ name: one.title, other }] : [];
    });
  if (!found.length) return null;
  return el(
    "p.aside",
    null,
    el("span.dot", { "aria-hidden": "true" }),
    "Same position: ",
    found.map(({ name, other }, i) => [i ? ", " : "", `${name} wrote `, el("bdi.mono", null, named(other.text))]),
    ".",
  );
}

// Which of several candidates it was, and the way to the round's tree.
/**
 * @param {Token} token
 * @param {Lane} lane
 */
function candidate(token, lane) {
  const round = lane.rounds[token.round];
  if (!round.shape.tree) return null;
  const parent = round.shape.parents[token.slot];
  const all = [...round.shape.parents.keys()].filter((slot) => round.shape.parents[slot] === parent);
  const several = parent !== undefined && all.length > 1;
  const words = several ? `Candidate ${all.indexOf(token.slot) + 1} of ${all.length} for its place. ` : "";
  const go = () => {
    sheet.open(false);
    tree.show();
  };
  return el("p.aside", null, words, el("button.link", { type: "button", onclick: go }, "The round’s tree"));
}

function draw() {
  const { run } = state;
  const token = pickedToken();
  if (!token || !run) {
    box.replaceChildren(
      el(
        "div",
        null,
        el("h3", null, "Nothing selected"),
        el(
          "p.verdict",
          null,
          "Click a token, or move to a lane and use the arrow keys, to see why it was kept or cut.",
        ),
      ),
    );
    return;
  }
  const { lane, slice, facts: recorded, round } = store.detail(run, token);
  const column = shown().find((one) => one.lane === lane)?.column;
  const again = column && rejudged(run, lane, column.knobs);
  const accept = recorded && column && again?.possible ? rules.accept(lane.rule, recorded, column.knobs) : null;
  const f = !recorded || accept === null ? recorded : { ...recorded, accept }; // as the dragged knob would have it
  const [kind, found] = store.worth(lane);
  const nav = found.length
    ? el(
        "div.nav",
        null,
        el(
          "button",
          { type: "button", "aria-label": `Previous ${kind} token`, onclick: () => jump(lane, token, -1) },
          "‹",
        ),
        el("span.caption", { style: "line-height:28px" }, kind),
        el("button", { type: "button", "aria-label": `Next ${kind} token`, onclick: () => jump(lane, token, 1) }, "›"),
      )
    : null;
  const written = token.position - continued.promptLength(run.trace) + 1;
  const word = el(`span.t.${token.fate}`, null, el("bdi", null, named(token.text)));
  const blocks = [
    el(
      "div",
      null,
      el("div.rowspread", null, el("span.caption", null, `Token ${written} of ${lane.label}`), nav),
      el("div.token", null, word),
      el("p.verdict", null, sentence(token, lane, f)),
      el("div.origin", null, copied.about(run, token)),
      elsewhere(token, lane),
      candidate(token, lane),
    ),
  ];
  if (f)
    blocks.push(
      el(
        "div",
        null,
        heading(
          accept === null
            ? "Where the draw fell"
            : `Where the draw would fall, ${label(lane.name, column?.knobs ?? lane.knobs)}`,
          lane.scope === "block" ? el("span.caption", null, "one draw of the block") : null,
        ),
        bar(f),
      ),
    );
  const goOn = fork.block(token, lane, slice);
  if (goOn) blocks.push(goOn);
  if (slice) {
    const here = f ? token.id : round.emitted[round.emitted.length - 1];
    blocks.push(
      el(
        "div",
        null,
        heading(
          "What each distribution says",
          el("span.caption", null, "percent ", el("span.badge.exact", null, "exact")),
        ),
        table(slice, run, token.fate === "discarded" ? -1 : here, token, lane),
      ),
    );
  }
  if (f) {
    blocks.push(
      el(
        "div",
        null,
        heading("Every rule, same draw", el("span.caption", null, "past the line: kept")),
        others(token, lane, f),
      ),
    );
    blocks.push(
      el(
        "div",
        null,
        heading("Divergence here", el("span.caption", null, "nats ", el("span.badge.exact", null, "exact"))),
        facts(lane, f),
      ),
    );
  }
  box.replaceChildren(...blocks);
}

export function build() {
  box = el("aside.sheet.inspector", { "aria-label": "Selected token", tabindex: -1 });
  on("pick run columns whatif ended", draw);
  draw();
  return box;
}
