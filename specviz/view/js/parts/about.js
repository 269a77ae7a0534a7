// The page of a rule: what it does, when to use it and when not, its formula and knobs, and a picture drawn by laws.js.
import { boot, defaults } from "specviz/core/boot.js";
import { el } from "specviz/core/dom.js";
import { fixed, nats, number, percent, symbol } from "specviz/core/formats.js";
import * as laws from "specviz/laws/laws.js";
import { twins } from "specviz/laws/twins.js";
import { dialog as make, fill, open as show } from "specviz/parts/dialog.js";
import { key } from "specviz/parts/key.js";
import { svg, width } from "specviz/parts/svg.js";

const LEVELS = [0.5, 0.1, 0.01];
/** @type {[string, string][]} */
const SHOWN = [
  ["Several words are fine", "two"],
  ["The verifier is sure", "confident"],
];
/** @type {HTMLDialogElement} */
let dialog;
/** @type {{ rule: string, knobs: Knobs }} */
let shown; // {rule, knobs} on display
/** @type {HTMLElement | null} */
let opener = null;
let drawn = 0;

/** @type {RuleWords} of a rule that a trace names and that is not here */
const WORDLESS = {
  ...{ summary: "", formula: "", helps: "", hurts: "", source: "", lossless: false, scope: "token" },
  ...{ flips: null, loose_below: false, spends: null, knobs: [] },
};

/** @param {string} rule */
const words = (rule) => boot.rules[rule] || WORDLESS;
/** @param {string} text */
const lower = (text) => text[0].toLowerCase() + text.slice(1);
/** @param {Knobs} knobs */
const settings = (knobs) =>
  Object.entries(knobs)
    .map(([name, value]) => (typeof value === "number" ? `${symbol(name)} ${number(value)}` : String(value)))
    .join(", ");

// A "?" beside a rule's name; `knobs` gives the setting the picture is drawn with. `siblings`: of a rule over several
// candidates for one place.
/**
 * @param {string} rule
 * @param {() => Knobs} knobs
 * @param {boolean} [siblings]
 */
export function button(rule, knobs, siblings = false) {
  if (!siblings && !words(rule).summary) return null; // a trace may name a rule that is not here
  return el(
    "button.iconbutton.about",
    {
      type: "button",
      "aria-label": `About ${rule}`,
      title: `What ${rule} does, and when it hurts`,
      "aria-haspopup": "dialog",
      "data-about": rule,
      onclick: (event) => (siblings ? openSiblings : open)(rule, knobs(), event.currentTarget),
    },
    "?",
  );
}

// Names of arXiv papers become links; everything else stays text.
/** @param {string} text */
function sourced(text) {
  return text.split(/(arXiv:? ?\d{4}\.\d{4,5})/).map((part) => {
    const id = /^arXiv:? ?([\d.]+)$/.exec(part);
    return id
      ? el("a", { href: `https://arxiv.org/abs/${id[1]}`, target: "_blank", rel: "noopener noreferrer" }, part)
      : part;
  });
}

/**
 * @param {Knob[]} all
 * @param {Knobs} knobs
 */
function knobList(all, knobs) {
  /** @param {Knob} knob */
  const here = (knob) => {
    const value = knobs[knob.name] ?? knob.default;
    return String(value) === String(knob.default) ? "" : `, here ${number(value)}`;
  };
  return all.map((knob) => [
    el("dt", null, el("b", null, knob.name), symbol(knob.name) === knob.name ? null : ` ${symbol(knob.name)}`),
    el(
      "dd",
      null,
      knob.help,
      el(
        "span",
        null,
        ` ${knob.allowed[0].toUpperCase()}${knob.allowed.slice(1)}; default ${knob.default}${here(knob)}.`,
      ),
    ),
  ]);
}

/**
 * @param {string} rule
 * @param {Knobs} knobs
 * @param {number} p
 * @param {number} q
 */
const accept = (rule, knobs, p, q) => laws.judge(rule, [q, 1 - q], [p, 1 - p], knobs).accept[0];

// Accept probability against draft probability, a panel per verifier probability; what is kept beyond strict is amber.
/**
 * @param {string} rule
 * @param {Knobs} knobs
 * @param {number} wide
 * @returns {[SVGElement, string]}
 */
function curves(rule, knobs, wide) {
  const grid = Array.from({ length: 121 }, (_, i) => 10 ** (-3 + i / 40));
  const gap = wide > 480 ? 26 : 14;
  const each = (wide - 24 - 2 * gap) / 3;
  const [top, bottom] = [26, 150];
  /** @param {number} phi */
  const y = (phi) => bottom - phi * (bottom - top);
  /**
   * @param {string} content
   * @param {number} at
   * @param {number} to
   * @param {string} anchor
   * @param {Record<string, string | number>} [more]
   */
  const text = (content, at, to, anchor, more) =>
    svg("text", { x: at, y: to, "font-size": 11, fill: "var(--ink3)", "text-anchor": anchor, ...more }, content);
  const panels = LEVELS.map((q) => ({
    q,
    own: grid.map((p) => accept(rule, knobs, p, q)),
    strict: grid.map((p) => laws.ratio(q, p)),
  }));
  /** @param {(more: number) => boolean} test */
  const anywhere = (test) => panels.some(({ own, strict }) => own.some((phi, i) => test(phi - strict[i])));
  const apart = anywhere((more) => Math.abs(more) > 1e-9);
  const looser = anywhere((more) => more > 1e-9);
  const said = panels
    .map(({ q, own }) => `At verifier probability ${q} it falls to ${fixed(own[own.length - 1])}.`)
    .join(" ");
  const chart = svg(
    "svg",
    {
      width: wide,
      height: 186,
      role: "img",
      "aria-label": `Chance that ${rule} keeps a token, by its draft probability. ${said}`,
    },
    [0, 0.5, 1].map((tick) => text(String(tick), 18, y(tick) + 4, "end")),
    panels.map(({ q, own, strict }, k) => {
      const left = 24 + k * (each + gap);
      /** @param {number} i */
      const x = (i) => left + (i / (grid.length - 1)) * each;
      /** @param {number[]} values */
      const points = (values) => values.map((phi, i) => `${x(i).toFixed(1)},${y(phi).toFixed(1)}`);
      /**
       * @param {number[]} values
       * @param {Record<string, string | number>} more
       */
      const line = (values, more) =>
        svg("polyline", { points: points(values).join(" "), fill: "none", "stroke-linejoin": "round", ...more });
      const band = [...points(own.map((phi, i) => Math.max(phi, strict[i]))), ...points(strict).reverse()].join(" ");
      return [
        text(`q = ${q}`, left, 12, "start", { fill: "var(--ink)", "font-size": 12 }),
        [0, 0.5, 1].map((tick) =>
          svg("line", {
            x1: left,
            x2: left + each,
            y1: y(tick),
            y2: y(tick),
            stroke: tick ? "var(--grid)" : "var(--line2)",
          }),
        ),
        looser ? svg("polygon", { points: band, fill: "var(--amber-bg)" }) : null,
        apart ? line(strict, { stroke: "var(--ink3)", "stroke-width": 1.4, "stroke-dasharray": "1.5 3" }) : null,
        line(own, { stroke: "var(--ink)", "stroke-width": 2.25 }),
        text("0.001", left, bottom + 16, "start"),
        text("1", left + each, bottom + 16, "end"),
        each > 150 ? text("0.03", left + each / 2, bottom + 16, "middle") : null,
      ];
    }),
    text("draft probability p", wide, bottom + 33, "end"),
  );
  return [
    chart,
    [
      "Chance that a drafted token is kept, for three verifier probabilities " +
        `q${words(rule).scope === "block" ? ", in a block of one token" : ""}.`,
      apart ? "Dotted: strict sampling." : "",
      looser ? "Amber: kept only because the rule is not strict." : "",
    ]
      .join(" ")
      .trim(),
  ];
}

// What is written in two small examples: hollow the draft, filled the output law, a tick for the verifier.
/**
 * @param {string} rule
 * @param {Knobs} knobs
 * @param {[string, string]} more
 * @param {number} wide
 */
function example(rule, knobs, [title, preset], wide) {
  const { tokens } = boot.openings.presets[preset];
  const judged = laws.judge(
    rule,
    tokens.map((one) => one[2]),
    tokens.map((one) => one[1]),
    knobs,
  );
  const left = 12 + Math.max(...tokens.map(([name]) => width(name, 12.5)));
  const most = Math.max(...judged.law, ...tokens.flatMap((one) => [one[1], one[2]]));
  /** @param {number} p */
  const long = (p) => Math.max(p > 0 ? 1 : 0, (p / most) * (wide - left - 4));
  const said = tokens
    .map(
      ([name, p, q], i) =>
        `${name}: draft ${percent(p)} %, verifier ${percent(q)} %, written ${percent(judged.law[i])} %`,
    )
    .join("; ");
  return el(
    "div",
    null,
    el("h4", null, title),
    svg(
      "svg",
      { width: wide, height: tokens.length * 27 + 4, role: "img", "aria-label": said },
      tokens.map(([name, p, q], i) => {
        const top = i * 27 + 4;
        return [
          svg("text", { x: 0, y: top + 13.5, "font-size": 12.5, fill: "var(--ink)" }, name),
          svg("rect", { x: left + 0.5, y: top + 0.5, width: long(p), height: 6, fill: "none", stroke: "var(--ink3)" }),
          svg("rect", { x: left, y: top + 9, width: long(judged.law[i]), height: 9, fill: "var(--ink2)" }),
          svg("line", {
            x1: left + long(q),
            x2: left + long(q),
            y1: top - 2,
            y2: top + 20,
            stroke: "var(--blue)",
            "stroke-width": 2,
          }),
        ];
      }),
    ),
    el(
      "p.caption",
      null,
      `Keeps ${percent(judged.acceptance)}\u00a0% of drafts at ${nats(judged.kl)} nats. Strict keeps ${percent(
        laws.frontier(
          tokens.map((one) => one[2]),
          tokens.map((one) => one[1]),
        ).start.acceptance,
      )}\u00a0%.`,
    ),
  );
}

function picture() {
  /** @type {HTMLElement | null} */
  const holder = dialog.querySelector(".aboutpicture");
  const wide = Math.floor(holder?.clientWidth || 0);
  if (!holder || !wide || wide === drawn) return;
  drawn = wide;
  const { rule, knobs } = shown;
  if (twins[rule].pairwise) {
    const [chart, caption] = curves(rule, knobs, Math.min(wide, 620));
    return holder.replaceChildren(chart, el("p.caption", null, caption));
  }
  const two = wide > 480;
  holder.replaceChildren(
    el(
      "div.examples2",
      null,
      SHOWN.map((one) => example(rule, knobs, one, two ? Math.floor((wide - 32) / 2) : wide)),
    ),
    el("p.caption", null, "Hollow: the draft. Filled: what is written. Blue tick: the verifier."),
  );
}

/**
 * @param {string} name
 * @param {...any} content
 */
const part = (name, ...content) => [el("h3", null, name), ...content];

/**
 * @param {string} name
 * @param {{ lossless: boolean }} rule
 */
const heading = (name, { lossless }) => [
  el("h2", null, name),
  el("span.caption", null, lossless ? "lossless" : "lossy"),
];

// What it does, and when to use it and when not.
/** @param {Pick<RuleWords, "summary" | "helps" | "hurts" | "lossless">} rule */
const inWords = ({ summary, helps, hurts, lossless }) => [
  el("p.lead", null, summary),
  el("p", null, el("b", null, "It helps "), lower(helps)),
  el("p", null, el("b", null, "It hurts: "), lower(hurts)),
  el(
    "p",
    null,
    lossless
      ? "Lossless: whatever the draft, the text is distributed exactly as the verifier's."
      : "Lossy: what is written is not distributed as the verifier's; how far it strays is counted as " +
          "KL(output law ‖ verifier).",
  ),
];

// A rule over siblings; its picture is the playground it stands in.
/**
 * @param {string} name
 * @param {Knobs} knobs
 * @param {HTMLElement} from
 */
function openSiblings(name, knobs, from) {
  const rule = boot.sets[name];
  shown = { rule: name, knobs };
  opener = from;
  drawn = 0;
  if (!dialog) build();
  const list = knobList(rule.knobs, knobs);
  fill(
    dialog,
    `About ${name}`,
    heading(name, rule),
    ...inWords(rule),
    ...part(
      "Formula",
      el("p.formula", null, rule.formula),
      el("p.caption", null, "p is the draft model's probabilities, q the verifier's, k the number of candidates."),
    ),
    ...(list.length ? part("Knobs", el("dl.knoblist", null, list)) : []),
    ...(rule.source ? part("Source", el("p", null, sourced(rule.source))) : []),
  );
  show(dialog);
}

/**
 * @param {string} rule
 * @param {Knobs} knobs
 * @param {HTMLElement} from
 */
export function open(rule, knobs, from) {
  const { formula, source } = words(rule);
  const known = laws.knows(rule);
  shown = { rule, knobs: { ...defaults(rule), ...knobs } };
  opener = from;
  drawn = 0;
  if (!dialog) build();
  const list = knobList(words(rule).knobs, shown.knobs);
  fill(
    dialog,
    `About ${rule}`,
    [key(rule), ...heading(rule, words(rule))],
    ...inWords(words(rule)),
    ...part(
      "Formula",
      el("p.formula", null, formula),
      el("p.caption", null, "n is the drafted token, p the draft model's probabilities, q the verifier's."),
    ),
    ...(list.length ? part("Knobs", el("dl.knoblist", null, list)) : []),
    ...(known
      ? part(`Picture${list.length ? `, at ${settings(shown.knobs)}` : ""}`, el("div.aboutpicture"))
      : rule === "plain"
        ? []
        : part("Picture", el("p.caption", null, "The browser cannot compute this rule."))),
    ...(source ? part("Source", el("p", null, sourced(source))) : []),
  );
  show(dialog);
  if (known) picture();
}

function build() {
  dialog = make("rulepage");
  dialog.addEventListener("close", () => {
    /** @type {HTMLElement | null} */
    const button = document.querySelector(`[data-about="${shown.rule}"]`);
    (opener?.isConnected ? opener : button)?.focus();
  });
  new ResizeObserver(() => {
    if (dialog.open && laws.knows(shown.rule)) picture();
  }).observe(dialog);
}
