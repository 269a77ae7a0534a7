// Every number of a sweep, a line for each setting from the start, so that nothing moves while they come in.
import { boot, defaults } from "specviz/core/boot.js";
import { download, el, hit, inside } from "specviz/core/dom.js";
import { finite, fixed, nats, number, sampled, symbol } from "specviz/core/formats.js";
import { column, heads } from "specviz/parts/heads.js";
import { key } from "specviz/parts/key.js";
import * as curves from "specviz/sweep/curves.js";
import * as questions from "specviz/sweep/questions.js";

/** @typedef {{  of: HTMLElement, save: HTMLButtonElement, table: HTMLElement }} Parts */
const parts = /** @type {Parts} */ ({});
/** @param {number} value */
const plus = (value) => `${value > 0 ? "+" : value < 0 ? "−" : ""}${fixed(Math.abs(value), 1)}`;
/** @param {number} value */
const share = (value) => fixed(100 * value, 1);
/** @type {[Measure, (value: number) => string][]} */
const FIGURES = [
  // key, its ends and value in words
  ["accuracy", share],
  ["against_plain", (value) => plus(100 * value)],
  ["accepted_per_round", fixed],
  ["emitted_per_round", fixed],
  ["mean_kl", nats],
];

/** @param {Measure} key */
const about = (key) => boot.sweep.definitions[key];
/** @param {Measure} key */
const name = (key) => `${about(key).label}${about(key).unit ? `, ${about(key).unit}` : ""}`;

/**
 * @param {Measure} key
 * @param {string} source
 */
function head(key, source) {
  const kind = about(key).kind === "exact" ? "exact" : source;
  return column(name(key), kind, about(key).definition);
}

/**
 * @param {SweepRow | undefined} row
 * @param {boolean} waiting
 */
function cells(row, waiting) {
  return FIGURES.map(([key, words]) => {
    const [value, low, high] = [row?.[key], row?.[`${key}_low`], row?.[`${key}_high`]].map(
      (one) => finite(one) ?? null,
    );
    const ends =
      value !== null && low !== null && high !== null && low < high
        ? [" ", el("span.caption", null, `${words(low)} to ${words(high)}`)]
        : null;
    const beyond = (high ?? 0) < 0 ? "below" : (low ?? 0) > 0 ? "above" : "";
    const apart = key === "against_plain" && value !== null ? beyond : "";
    return el(
      "td",
      { "data-label": name(key), title: about(key).definition },
      value === null ? el("span.caption.wait", null, row ? "" : waiting ? "…" : "–") : el("b", null, words(value)),
      ends,
      apart ? [" ", el(`span.caption.${apart}`, null, apart)] : null,
    );
  });
}

// A setting's name, which opens the questions that it changed.
/**
 * @param {SweepPoint} point
 * @param {SweepMessage} message
 */
function opener(point, message) {
  const label = `${point.rule}: questions won and lost`;
  /** @param {MouseEvent & { currentTarget: HTMLElement }} event */
  const open = (event) => questions.open(message, point.rule, event.currentTarget);
  return el(
    "button.openpoint",
    {
      type: "button",
      "aria-haspopup": "dialog",
      "aria-label": label,
      title: "The questions it won and lost",
      onclick: open,
    },
    point.name,
  );
}

// The knobs that take words and have several of them in this sweep, by rule.
/**
 * @param {SweepPoint[]} points
 * @returns {(point: SweepPoint, name: string) => boolean}
 */
function several(points) {
  /** @param {SweepPoint} point */
  const words = (point) => Object.entries(point.knobs).filter(([, value]) => typeof value === "string");
  return (point, name) => {
    const alike = points.filter((one) => one.name === point.name).flatMap(words);
    return new Set(alike.filter(([each]) => each === name).map(([, value]) => value)).size > 1;
  };
}

/**
 * @param {SweepPoint} point
 * @param {SweepMessage} message
 * @param {ReturnType<typeof several>} varies
 */
function line(point, message, varies) {
  const row = message.rows.find((one) => one.rule === point.rule);
  const waiting = !message.ended;
  const opens = questions.has(message, point.rule);
  const [knob, value] = Object.entries(point.knobs).find(([, one]) => typeof one === "number") || [];
  const setting = () => [`${symbol(knob ?? "")} `, el("b", null, number(value))];
  const others = Object.entries(point.knobs)
    .filter(
      ([each, one]) => each !== knob && (varies(point, each) || String(one) !== String(defaults(point.name)[each])),
    )
    .map(([each, one]) => `${symbol(each)} ${one}`);
  return el(
    "tr",
    {
      "data-point": point.rule,
      onpointerenter: () => curves.point(row ? point.rule : null),
      onpointerleave: () => curves.point(null),
      class: opens ? "opens" : null,
      onclick: (event) => {
        if (!opens || hit(event, "button") || String(getSelection())) return;
        questions.open(message, point.rule, inside(event.currentTarget, "button"));
      },
    },
    el(
      "th",
      { scope: "row" },
      el("span.rulename", null, key(point.name), opens ? opener(point, message) : point.name),
      knob ? el("span.narrow", { "aria-hidden": "true" }, setting()) : null,
    ),
    el(
      "td.setting",
      { "data-label": "knob" },
      knob ? setting() : el("span.caption", null, "no knob"),
      others.length ? [" ", el("span.caption", null, others.join(", "))] : null,
    ),
    el(
      "td",
      { "data-label": "right of asked" },
      row ? `${row.right} of ${row.questions}` : el("span.caption.wait", null, waiting ? "…" : "–"),
    ),
    cells(row, waiting),
  );
}

// What a sweep was asked, besides its rules.
/** @param {SweepRequest} asked */
export function described(asked) {
  const all = Object.keys(boot.sweep.families).length;
  const kinds = asked.families.length === all ? "all families" : asked.families.join(", ");
  return [
    `${asked.questions} questions of ${kinds}`,
    sampled(asked),
    `draft length ${asked.draft_length}`,
    `seed ${asked.seed}`,
  ];
}

/**
 * @param {SweepMessage} message
 * @param {string} source
 */
export function show(message, source) {
  const { asked, points, rows } = message;
  const varies = several(points);
  parts.of.replaceChildren(`${described(asked).join(", ")}. `, el(`span.badge.${source}`, null, source));
  parts.save.hidden = false;
  parts.save.setAttribute("aria-disabled", String(!rows.length));
  parts.save.onclick = () => {
    if (rows.length) download("specviz-sweep.csv", message.csv, "text/csv");
  };
  parts.table.replaceChildren(
    heads(
      "rule",
      "knob",
      column("right of asked", "", "Questions answered right, of all that were asked."),
      FIGURES.map(([key]) => head(key, source)),
    ),
    el(
      "tbody",
      null,
      points.map((point) => line(point, message, varies)),
    ),
  );
}

export function build() {
  parts.of = el("p.caption");
  parts.save = el("button.plainbutton.outlined", { type: "button", hidden: true }, "Download CSV");
  parts.table = el("table.ledger.sweeptable");
  return el(
    "section",
    { "aria-label": "Every number" },
    el("div.rowspread", null, el("div", null, el("h3", null, "Every number"), parts.of), parts.save),
    parts.table,
    el(
      "p.aside",
      null,
      "Each interval holds 95 times in 100 by itself; with many settings some will miss. The question is " +
        "the unit: tokens of one text are alike. Every setting answers the same questions with the same " +
        "seeds. Texts are decoded many at a time and share forwards, so this says nothing about speed.",
    ),
  );
}
