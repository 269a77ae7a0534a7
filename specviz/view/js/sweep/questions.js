// What one setting of a sweep changed: its questions won and lost against plain decoding, which had the same draws, then
// those answered in other words but graded alike. Each opens with both texts side by side.
import { boot } from "specviz/core/boot.js";
import { encode } from "specviz/core/codes.js";
import { el, inside } from "specviz/core/dom.js";
import { label, visible } from "specviz/core/formats.js";
import { dialog as make, fill, open as show } from "specviz/parts/dialog.js";
import { key } from "specviz/parts/key.js";

/** @typedef {{ row: SweepRow, outcomes: Record<Outcome, Texts>, questions: Question[], style: string | null }} Setting */
/** @typedef {{ count: number, texts: Record<string, string> }} Texts that differ, by question */

/** @type {[Outcome, string, string][]} */
const GROUPS = [
  ["won", "Won", "right, where the verifier alone is wrong"],
  ["lost", "Lost", "wrong, where the verifier alone is right"],
  ["alike", "Other words, graded alike", "another text; both right or both wrong"],
];
/** @type {HTMLDialogElement} */
let dialog;
/** @type {HTMLElement | null} */
let opener = null;

/**
 * @param {string} text
 * @returns {string[]}
 */
const words = (text) => text.match(/\s*\S+|\s+$/g) ?? [];

// Where two texts part: the words they begin with in common, and what each goes on with.
/**
 * @param {string} one
 * @param {string} other
 */
function parted(one, other) {
  const [a, b] = [words(one), words(other)];
  let same = 0;
  while (same < a.length && same < b.length && a[same] === b[same]) same += 1;
  return {
    common: a.slice(0, same).join(""),
    rests: [a, b].map((all) => [all[same] ?? "", all.slice(same + 1).join("")]),
  };
}

// A text from the first word on that differs; what came before it is faint, and in view.
/**
 * @param {string} name
 * @param {string} common
 * @param {string[]} more
 * @param {boolean} right
 */
function written(name, common, [first, rest], right) {
  const mark = el("mark", null, visible(first.trimStart()) || "(ends)");
  const [space] = /** @type {RegExpExecArray} */ (/^\s*/.exec(first));
  const text = el(
    "div.qtext",
    { tabindex: 0, role: "group", "aria-label": name },
    el("bdi", null, el("span.common", null, lined(common)), lined(space), mark, lined(rest)),
  );
  const node = el(
    "div",
    null,
    el("h4", null, name, el(`span.graded.${right ? "right" : "wrong"}`, null, right ? "✓ right" : "✗ wrong")),
    text,
  );
  return {
    node,
    look: () => {
      text.scrollTop = Math.max(0, mark.offsetTop - text.offsetTop - 44);
    },
  };
}

/** @param {string} text */
const lined = (text) => text.split("\n").map(visible).join("\n");

// The address that runs this question in Compare: this rule beside plain decoding, with the same draws.
/**
 * @param {SweepRow} row
 * @param {Question} question
 * @param {string | null} style
 */
function address(row, question, style) {
  const { temperature, top_k, top_p, draft_length, max_new_tokens } = row;
  const run = {
    v: 1,
    prompt: question.prompt,
    pair: boot.sweep.name,
    style,
    system: null,
    temperature,
    top_k,
    top_p,
    draft_length,
    max_new_tokens,
    seed: question.seed,
    lanes: [
      { rule: null, knobs: {} },
      { rule: row.name, knobs: row.knobs },
    ],
  };
  return `${location.href.split("#")[0]}#run=${encode(run)}`;
}

/**
 * @param {SweepRow} row
 * @param {Question} question
 * @param {string} text
 * @param {string} outcome
 * @param {string | null} style
 */
function item(row, question, text, outcome, style) {
  const right = outcome === "won" || (outcome === "alike" && question.right);
  const { common, rests } = parted(question.text.trimStart(), text.trimStart());
  const texts = [
    written("verifier alone", common, rests[0], question.right),
    written(label(row.name, row.knobs), common, rests[1], right),
  ];
  const body = el(
    "div.qbody",
    null,
    el(
      "div.qpair",
      null,
      texts.map((one) => one.node),
    ),
    el(
      "a.plainbutton.outlined",
      { href: address(row, question, style), target: "_blank", rel: "noopener" },
      "Open in Compare",
    ),
  );
  return el(
    "details.qitem",
    {
      ontoggle: (event) => {
        if (event.currentTarget.open) texts.forEach((one) => one.look());
      },
    },
    el(
      "summary",
      null,
      el("bdi", null, lined(question.prompt)),
      el("span.caption", null, "right: ", el("bdi", null, visible(question.answer))),
    ),
    body,
  );
}

/**
 * @param {string} name
 * @param {string} title
 * @param {string} means
 * @param {Texts} more
 * @param {Setting} setting
 */
function group(name, title, means, { count, texts }, { row, questions, style }) {
  const entries = Object.entries(texts);
  if (!count) return null;
  return el(
    "section",
    { "aria-label": title },
    el("h3", null, `${title}: ${count}`, el("span.caption", null, means)),
    entries.map(([i, text]) => item(row, questions[Number(i)], text, name, style)),
    count > entries.length
      ? el("p.caption", null, `And ${count - entries.length} more; specviz sweep --answers saves them all.`)
      : null,
  );
}

// A setting of a sweep that has ended, by the spec of its rule; null where nothing can be shown of it.
/**
 * @param {SweepMessage} message
 * @param {string} rule
 * @returns {Setting | null}
 */
function found(message, rule) {
  const row = message.rows.find((one) => one.rule === rule);
  const outcomes = message.answers?.rules[rule];
  const questions = message.answers?.questions ?? [];
  return row && outcomes ? { row, outcomes, questions, style: message.style } : null;
}

// Whether a setting can be opened.
/**
 * @param {SweepMessage} message
 * @param {string} rule
 */
export const has = (message, rule) => Boolean(found(message, rule));

/**
 * @param {SweepMessage} message
 * @param {string} rule
 * @param {HTMLElement | null} from
 */
export function open(message, rule, from) {
  const setting = found(message, rule);
  if (!setting) return;
  if (!dialog) build();
  const { row, outcomes } = setting;
  const changed = GROUPS.reduce((sum, [name]) => sum + outcomes[name].count, 0);
  opener = from;
  const others = Object.entries(row.knobs)
    .filter(([, value]) => typeof value === "string")
    .map(([, value]) => value)
    .join(", ");
  fill(
    dialog,
    `Questions of ${label(row.name, row.knobs)}`,
    [key(row.name), el("h2", null, label(row.name, row.knobs)), el("span.caption", null, others)],
    el(
      "p",
      null,
      `Of ${row.questions} questions it answers ${row.questions - changed} in the very words of the verifier alone, which had the same draws. `,
      changed ? "A mark is where the two texts part." : "",
    ),
    ...GROUPS.map(([name, title, means]) => group(name, title, means, outcomes[name], setting)).filter(Boolean),
  );
  show(dialog);
  const first = dialog.querySelector("details");
  if (first) {
    first.open = true;
    inside(first, "summary").focus();
  }
}

function build() {
  dialog = make("questions");
  dialog.addEventListener("close", () => opener?.focus({ preventScroll: true }));
}
