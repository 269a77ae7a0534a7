// Every rule in a row, with its knobs, sorted by how much it accepts; and the same numbers as a file.
import { boot } from "specviz/core/boot.js";
import { download, el, set } from "specviz/core/dom.js";
import { named, nats, percent, symbol } from "specviz/core/formats.js";
import { twins } from "specviz/laws/twins.js";
import * as about from "specviz/parts/about.js";
import { csv } from "specviz/parts/csv.js";
import { glyph, spark, svg } from "specviz/parts/svg.js";
import * as play from "specviz/playground/play.js";
import { state } from "specviz/playground/play.js";
import { knobWords } from "specviz/playground/title.js";

/** @typedef {import("specviz/playground/play.js").Setting} Setting */
/** @typedef {ReturnType<typeof rowOf>} Row */
/**
 * @typedef {{
 *   phi: HTMLElement, body: HTMLElement, error: HTMLElement, absent: HTMLElement, fold: HTMLButtonElement,
 *   rows: Map<number, Row>,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({ rows: new Map() });
let unfolded = false; // all rules, not the first few
let wait = false; // the order rests while a knob is being moved

/** @param {number | string} value */
const number = (value) => String(+Number(value).toPrecision(4));
const HEADS = [
  ["rule", ""],
  ["knob", ""],
  ["phi", "right"],
  ["acceptance, %", ""],
  ["KL, nats", "right"],
  ["short of best, points", "right"],
  ["output law, ticks: verifier", ""],
  ["", ""],
  ["", ""],
];
/** @type {Record<string, string>} */
const HELP = {
  "acceptance, %": "Chance that a drafted token is kept, over all tokens the draft may say. Exact.",
  "KL, nats": "How far what is really written strays from the verifier: KL(output law ‖ verifier). Exact.",
  "short of best, points":
    "How much more the best possible rule would accept at the same true divergence, in percentage points.",
  "output law, ticks: verifier":
    "What this position really writes under the rule. The ticks are what the verifier alone would write.",
};

/** @param {Setting} one */
function knobs(one) {
  return play.knobsOf(one.rule).map((knob) => {
    const sign = symbol(knob.name);
    const title = `${knob.name}: ${knob.help}${knob.unit ? ` (${knob.unit})` : ""}`;
    /** @param {number | string} value */
    const change = (value) => {
      one.knobs = { ...one.knobs, [knob.name]: value };
      play.changed("knobs");
    };
    if (knob.choices) {
      const pick = el(
        "select",
        { "aria-label": `${one.rule} ${knob.name}`, onchange: (event) => change(event.currentTarget.value) },
        knob.choices.map((word) => el("option", { value: word }, word)),
      );
      pick.value = one.knobs[knob.name];
      return el("label.knob", { title }, pick);
    }
    const input = el("input", {
      type: "text",
      inputmode: "decimal",
      "aria-label": `${one.rule} ${knob.name}`,
      value: number(one.knobs[knob.name]),
      autocomplete: "off",
    });
    const slider =
      knob === play.mainKnob(one.rule)
        ? el("input", { type: "range", min: 0, max: 1000, "aria-label": `${one.rule} ${knob.name}, slider` })
        : null;
    const place = () => {
      if (slider) {
        slider.value = String(Math.round(1000 * play.scale(knob).to(one.knobs[knob.name])));
        slider.setAttribute("aria-valuetext", number(one.knobs[knob.name]));
      }
    };
    input.addEventListener("change", () => {
      const text = input.value.trim().replace(",", ".");
      const value = text === "" ? NaN : Number(text);
      const sentence = play.refusal(knob, value);
      set(parts.error, sentence && `${one.rule}: ${sentence} ${number(one.knobs[knob.name])} stays.`);
      if (sentence) {
        input.value = number(one.knobs[knob.name]);
        return;
      }
      change(value);
      place();
    });
    slider?.addEventListener("input", () => {
      const value = play.scale(knob).from(Number(slider.value) / 1000);
      wait = true;
      set(parts.error, "");
      change(knob.type === "int" ? value : +value.toPrecision(2));
      input.value = number(one.knobs[knob.name]);
      slider.setAttribute("aria-valuetext", input.value);
    });
    slider?.addEventListener("change", () => {
      wait = false;
      sort();
    });
    place();
    return el("label.knob", { title }, el("i", null, sign), slider, input);
  });
}

/** @param {Setting} one */
function rowOf(one) {
  const mark = svg("svg", { width: 16, height: 14, viewBox: "-8 -7 16 14", "aria-hidden": "true" }, glyph(one.rule, 4));
  const worth = el("span.worth");
  /**
   * @param {string} name
   * @param {...any} children
   */
  const cell = (name, ...children) => el(`td.${name}`, { role: "cell" }, ...children);
  const name = el(
    "button.rulename",
    {
      type: "button",
      title: boot.rules[one.rule].summary,
      onclick: () => {
        state.focus = one.id;
        play.changed("focus");
      },
    },
    mark,
    one.rule,
    worth,
  );
  const phi = cell("phi.right");
  const bar = el("i.bar");
  const accepts = el("span.num");
  const kl = cell("kl.right");
  const short = cell("short.right");
  const sketch = svg("svg", { class: "spark", role: "img", height: 26 });
  const remark = cell("note");
  const add = el(
    "button.iconbutton",
    {
      type: "button",
      "aria-label": `Another row for ${one.rule}`,
      title: `Another ${one.rule}, with a knob of its own`,
      hidden: !play.knobsOf(one.rule).length,
      onclick: () => set(parts.error, play.addRow(one.id)),
    },
    "+",
  );
  const cut = el(
    "button.iconbutton",
    {
      type: "button",
      "aria-label": `Remove this row of ${one.rule}`,
      title: "Remove this row",
      onclick: () => play.removeRow(one.id),
    },
    "×",
  );
  const accepted = cell("acc", el("span.barbox", null, bar), accepts);
  const node = el(
    "tr",
    { role: "row" },
    el(
      "th.rule",
      { role: "rowheader", scope: "row" },
      name,
      about.button(one.rule, () => one.knobs),
    ),
    cell("knobcell", knobs(one)),
    phi,
    accepted,
    kl,
    short,
    cell("law", sketch),
    remark,
    cell("edit", add, cut),
  );
  // For a narrow page, where there is no head.
  Object.assign(phi.dataset, { label: "φ", unit: " %" });
  Object.assign(kl.dataset, { label: "KL", unit: " nats" });
  Object.assign(short.dataset, { label: "short of best", unit: " points" });
  accepted.dataset.unit = " %";
  return { node, name, worth, phi, bar, accepts, kl, short, spark: sketch, note: remark, cut };
}

/** @param {import("specviz/playground/play.js").Row} one */
const note = (one) =>
  one.lossless
    ? "lossless"
    : (twins[one.rule].note ??
      (one.kl === Infinity ? "writes what the verifier rules out" : one.kl < 1e-12 ? "as the verifier, here" : ""));

export function render() {
  const { rows, focus } = play.now;
  parts.rows.forEach((made, id) => {
    if (!rows.some((one) => one.id === id)) {
      made.node.remove();
      parts.rows.delete(id);
    }
  });
  const n = state.token;
  parts.phi.replaceChildren("φ of ", el("bdi.tok", null, named(state.names[n])), ", %");
  rows.forEach((one) => {
    const made = parts.rows.get(one.id) ?? rowOf(/** @type {Setting} */ (state.rows.find(({ id }) => id === one.id)));
    parts.rows.set(one.id, made);
    set(made.worth, knobWords(one));
    set(made.phi, state.draft[n] > 0 ? percent(one.accept[n]) : "–");
    made.phi.title =
      state.draft[n] > 0 ? "Chance that this token is kept once it was drafted." : "The draft never says this token.";
    made.bar.style.width = `${100 * one.acceptance}%`;
    set(made.accepts, (100 * one.acceptance).toFixed(1));
    set(made.kl, nats(one.kl));
    set(made.short, one.short < 5e-5 ? "0" : one.short < 5e-4 ? "<0.1" : (100 * one.short).toFixed(1));
    set(made.note, note(one));
    spark(made.spark, one.law, state.verifier, (i) => named(state.names[i]));
    made.cut.hidden = rows.filter((other) => other.rule === one.rule).length < 2;
    made.name.setAttribute("aria-pressed", String(one.id === focus.id));
    made.node.hidden = !unfolded && !boot.openings.unfolded.includes(one.rule) && one.rule !== focus.rule;
    made.node.classList.toggle("focus", one.id === focus.id);
    made.node.classList.toggle("kin", one.rule === focus.rule && one.id !== focus.id);
  });
  const absent = play.missing();
  set(parts.absent, absent.length ? `The browser cannot compute ${absent.join(", ")}.` : "");
  const many = new Set(rows.map((one) => one.rule)).size;
  set(parts.fold, unfolded ? "Fewer rules" : `All ${many} rules`);
  parts.fold.setAttribute("aria-expanded", String(unfolded));
  sort();
}

// By acceptance, then by what it costs. Rests while something is dragged, or a knob is typed into.
function sort() {
  const busy =
    wait ||
    state.moving ||
    (parts.body.contains(document.activeElement) && document.activeElement?.matches("input, select"));
  const placed = [...parts.body.children];
  if (busy && placed.length === parts.rows.size) return;
  const order = [...play.now.rows]
    .sort((a, b) => b.acceptance - a.acceptance || a.kl - b.kl)
    .flatMap((one) => parts.rows.get(one.id)?.node ?? []);
  if (order.every((node, i) => node === placed[i])) return;
  const active = /** @type {HTMLElement | null} */ (document.activeElement);
  parts.body.append(...order);
  if (parts.body.contains(active)) active?.focus({ preventScroll: true });
}

function data() {
  const { frontier, rows } = play.now;
  /** @param {{ kl: number, acceptance: number }} given */
  const point = ({ kl, acceptance }) => ({ kl, acceptance });
  return {
    specviz: "playground",
    tokens: state.names,
    draft: state.draft,
    verifier: state.verifier,
    drafted: state.token,
    rules: rows.map((one) => ({
      rule: one.rule,
      knobs: one.knobs,
      lossless: one.lossless,
      accept_probs: one.accept,
      target_probs: one.target ? one.target(state.token) : null,
      residual_probs: one.residual(state.token),
      output_law: one.law,
      acceptance: one.acceptance,
      kl: Number.isFinite(one.kl) ? one.kl : "Infinity",
      short_of_best: one.short,
    })),
    frontier: {
      curve: frontier.curve(100).map(point),
      end: point(frontier.end),
      ruled_out_by_verifier: frontier.outside,
    },
  };
}

function numbers() {
  const heads = [
    "rule",
    "knobs",
    "drafted",
    "accept_prob",
    "acceptance",
    "kl_output_verifier",
    "short_of_best",
    ...state.names.map((name) => `law of ${name}`),
  ];
  const lines = [...play.now.rows]
    .sort((a, b) => b.acceptance - a.acceptance)
    .map((one) => [
      one.rule,
      Object.entries(one.knobs)
        .map(([name, value]) => `${name}=${value}`)
        .join(" "),
      state.names[state.token],
      one.accept[state.token],
      one.acceptance,
      one.kl,
      one.short,
      ...one.law,
    ]);
  return csv([heads, ...lines]);
}

export function build() {
  parts.phi = el("span");
  parts.body = el("tbody", { role: "rowgroup" });
  parts.error = el("p.error", { role: "alert" });
  parts.absent = el("p.caption");
  parts.fold = el("button.plainbutton.fold", {
    type: "button",
    onclick: () => {
      unfolded = !unfolded;
      render();
    },
  });
  parts.body.addEventListener("focusout", () =>
    setTimeout(() => {
      if (play.now) sort();
    }),
  );
  parts.body.addEventListener("pointerup", () => {
    wait = false;
    setTimeout(sort);
  });
  const heads = HEADS.map(([words, side]) =>
    el(
      side ? `th.${side}` : "th",
      { role: "columnheader", scope: "col", title: HELP[words] || null },
      words === "phi" ? parts.phi : words,
    ),
  );
  /**
   * @param {string} words
   * @param {string} name
   * @param {() => string} make
   * @param {string} type
   */
  const save = (words, name, make, type) =>
    el(
      "button",
      { type: "button", "aria-label": `All numbers as ${words}`, onclick: () => download(name, make(), type) },
      words,
    );
  return el(
    "section.plot.playtable",
    { "aria-label": "Every rule" },
    el(
      "div.rowspread",
      null,
      el("h3", null, "Every rule, exact"),
      el(
        "div.tools",
        null,
        save("CSV", "specviz-playground.csv", numbers, "text/csv"),
        save("JSON", "specviz-playground.json", () => JSON.stringify(data(), null, 1), "application/json"),
      ),
    ),
    parts.error,
    el(
      "table",
      { role: "table", "aria-label": "Every rule, by acceptance" },
      el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads)),
      parts.body,
    ),
    parts.fold,
    parts.absent,
  );
}
