// What a sweep is asked: rules with the values of a knob, families of questions, and how they are decoded.
import { boot, defaults } from "specviz/core/boot.js";
import { all, el, set } from "specviz/core/dom.js";
import { emit } from "specviz/core/events.js";
import { symbol } from "specviz/core/formats.js";
import * as about from "specviz/parts/about.js";
import { key } from "specviz/parts/key.js";
import { choicesOf, knobOf, line, spec, usual, usualWords } from "specviz/sweep/lines.js";

const MOST = 12; // lines
/** @type {[string, string, string][]} */
const FIELDS = [
  ["questions", "Questions", "How many held-out questions each setting answers. More of them, narrower intervals."],
  ["temperature", "Temperature", "0 always takes the likeliest token; 1 samples as the model says."],
  ["top_k", "Top-k", "Keep only the k likeliest tokens; 0 keeps all."],
  ["top_p", "Top-p", "Keep the smallest set of likeliest tokens with this much probability; 1 keeps all."],
  ["draft_length", "Draft length", "Tokens the draft model writes before the verifier looks."],
  ["seed", "Seed", "Decides the questions and all draws. Question by question they are the same under every rule."],
];
/**
 * @typedef {{
 *   lines: HTMLElement, add: HTMLButtonElement, sum: HTMLElement, families: Record<string, HTMLButtonElement>,
 *   fields: Record<string, HTMLInputElement>, errors: Record<string, HTMLElement>,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({ fields: {}, errors: {} });
/** @typedef {import("specviz/sweep/lines.js").Line} Line */
/** @type {Line[]} */
let lines = [];
/** @type {Set<string>} */
let families = new Set();

// How many settings the lines come to, plain decoding included; Python counts again.
function settings() {
  return (
    1 +
    lines.reduce((sum, { rule, text, words }) => {
      const counts = Object.values(words).map((some) => some.length);
      if (!knobOf(rule)) return sum + counts.reduce((product, count) => product * count, 1);
      const named = counts.length;
      text.split(",").forEach((part) => {
        if (counts.length === named || part.includes("=")) counts.push(0);
        if (part.trim()) counts[counts.length - 1] += 1;
      });
      return sum + counts.reduce((product, count) => product * count, 1);
    }, 0)
  );
}

function changed() {
  const count = Number(parts.fields.questions.value);
  const texts = settings() * count;
  set(
    parts.sum,
    Number.isFinite(texts) && texts > 0
      ? `${settings()} settings × ${count} questions = ${texts.toLocaleString("en-US")} texts`
      : "",
  );
  emit("sweepform");
}

/** @param {string} [focus] */
function drawLines(focus) {
  parts.lines.replaceChildren(
    ...lines.map((one, i) => {
      const knob = knobOf(one.rule);
      const pick = el(
        "select",
        {
          "aria-label": `Rule ${i + 1}`,
          onchange: ({ currentTarget: { value: rule } }) => {
            lines[i] = { rule, text: usual(knobOf(rule)), words: usualWords(rule) };
            drawLines(`select:${i}`);
            changed();
          },
        },
        Object.keys(boot.rules)
          .filter((name) => name !== "plain")
          .map((name) => el("option", { value: name }, name)),
      );
      pick.value = one.rule;
      const error = el("p.error", { role: "alert", id: `sv-sweep-rule${i}` });
      parts.errors[`rule${i}`] = error;
      const text =
        knob &&
        el("input", {
          type: "text",
          value: one.text,
          autocomplete: "off",
          spellcheck: "false",
          "aria-label": `${one.rule}: values of ${knob.name}`,
          "aria-describedby": error.id,
          "data-line": i,
        });
      text?.addEventListener("input", () => {
        one.text = text.value;
        fault(`rule${i}`, "");
        changed();
      });
      const cut = el(
        "button.iconbutton",
        {
          type: "button",
          "aria-label": `Remove ${one.rule}`,
          title: "Remove this rule",
          hidden: lines.length < 2,
          onclick: () => {
            lines.splice(i, 1);
            drawLines(`select:${Math.max(0, i - 1)}`);
            changed();
          },
        },
        "×",
      );
      return el(
        "li.sweepline",
        null,
        key(one.rule),
        pick,
        about.button(one.rule, () => defaults(one.rule)),
        knob
          ? el(
              "label.values",
              {
                title:
                  `${knob.name}: ${knob.help}${knob.unit ? ` (${knob.unit})` : ""} ` +
                  `${knob.allowed[0].toUpperCase()}${knob.allowed.slice(1)}. Several values, with commas, are ` +
                  "a setting each.",
              },
              el("i", null, symbol(knob.name)),
              text,
            )
          : el("span.values.none", null, boot.rules[one.rule]?.lossless ? "no knob, lossless" : "no knob"),
        choicesOf(one.rule).map((each) => choice(one, each)),
        cut,
        error,
      );
    }),
  );
  parts.add.hidden = lines.length >= MOST;
  if (focus) {
    const [what, i] = focus.split(":");
    all(parts.lines.children[Number(i)] ?? parts.lines, what)[0]?.focus();
  }
}

// A knob that takes words: each of them that is on is a setting of its own, and one always is.
/**
 * @param {Line} one
 * @param {ReturnType<typeof choicesOf>[number]} knob
 */
function choice(one, { name, help, choices }) {
  const buttons = choices.map((word) => {
    const button = el("button", { type: "button", "aria-pressed": String(one.words[name].includes(word)) }, word);
    button.addEventListener("click", () => {
      const others = one.words[name].filter((each) => each !== word);
      if (!others.length) return;
      one.words[name] = choices.filter((each) =>
        each === word ? others.length === one.words[name].length : others.includes(each),
      );
      button.setAttribute("aria-pressed", String(one.words[name].includes(word)));
      changed();
    });
    return button;
  });
  const title = `${name}: ${help} Each that is on is a setting.`;
  return el(
    "span.wordknob",
    { role: "group", "aria-label": `${one.rule}: ${name}`, title },
    el("i", null, name),
    buttons,
  );
}

function addLine() {
  const used = lines.map((one) => one.rule);
  const known = [...boot.openings.nextLines, ...Object.keys(boot.rules)];
  const rule = known.find((name) => boot.rules[name] && name !== "plain" && !used.includes(name)) ?? used[0];
  lines.push({ rule, text: usual(knobOf(rule)), words: usualWords(rule) });
  drawLines(`select:${lines.length - 1}`);
  changed();
}

function drawFamilies() {
  Object.entries(parts.families).forEach(([name, button]) =>
    button.setAttribute("aria-pressed", String(families.has(name))),
  );
}

/** @param {string} name */
function toggle(name) {
  if (!families.delete(name)) families.add(name);
  fault("families", "");
  drawFamilies();
  changed();
}

// What goes to Python; a number that is none goes as it was typed, and comes back as a sentence.
export function asked() {
  /** @type {Record<string, unknown>} */
  const request = {
    rules: lines.map(spec),
    families: Object.keys(parts.families).filter((name) => families.has(name)),
  };
  FIELDS.forEach(([name]) => {
    const given = parts.fields[name].value.trim();
    request[name] = given !== "" && Number.isFinite(Number(given)) ? Number(given) : given;
  });
  return request;
}

// Fills the form, and returns the names of what in a request is not understood, which stays as usual.
/**
 * @param {Record<string, unknown>} request
 * @returns {string[]}
 */
export function fill(request) {
  const usualRequest = boot.sweep.asked;
  const ignored = Object.entries(request ?? {})
    .filter(([name, value]) => !fits(name, value))
    .map(([name]) => name);
  /** @type {Record<string, unknown>} */
  const wanted = { ...usualRequest, ...request };
  const specs = (Array.isArray(wanted.rules) ? wanted.rules : usualRequest.rules).filter(
    (one) => Object.hasOwn(boot.rules, line(one).rule) && line(one).rule !== "plain",
  );
  lines = (specs.length ? specs : usualRequest.rules).slice(0, MOST).map(line);
  families = new Set(
    Array.isArray(wanted.families)
      ? wanted.families.filter((name) => Object.hasOwn(parts.families, name))
      : usualRequest.families,
  );
  FIELDS.forEach(([name]) => {
    parts.fields[name].value = ["number", "string"].includes(typeof wanted[name])
      ? String(wanted[name])
      : String(usualRequest[name]);
  });
  faultless();
  drawLines();
  drawFamilies();
  changed();
  return ignored;
}

/**
 * @param {string} name
 * @param {unknown} value
 */
function fits(name, value) {
  if (name === "rules")
    return (
      Array.isArray(value) &&
      value.every((one) => Object.hasOwn(boot.rules, line(one).rule) && line(one).rule !== "plain")
    );
  if (name === "families") return Array.isArray(value) && value.every((one) => Object.hasOwn(parts.families, one));
  return FIELDS.some(([field]) => field === name) && ["number", "string"].includes(typeof value);
}

// A sentence beside the control it belongs to.
/**
 * @param {string} field
 * @param {string} sentence
 */
export function fault(field, sentence) {
  const known = parts.errors[field];
  if (known) set(known, sentence);
  const control = parts.fields[field] ?? all(parts.lines, `[data-line="${field.replace("rule", "")}"]`)[0];
  if (sentence) control?.setAttribute("aria-invalid", "true");
  else control?.removeAttribute("aria-invalid");
  if (sentence) control?.focus();
  return Boolean(known);
}

export function faultless() {
  Object.keys(parts.errors).forEach((field) => fault(field, ""));
}

export function build() {
  const { families: known } = boot.sweep;
  parts.lines = el("ul.sweeplines", { "aria-label": "Rules and knob values" });
  parts.add = el("button.plainbutton", { type: "button", onclick: addLine }, "+ Add a rule");
  parts.sum = el("span.caption");
  parts.families = Object.fromEntries(
    Object.entries(known).map(([name, about]) => [
      name,
      el("button", { type: "button", title: about, "aria-pressed": "false", onclick: () => toggle(name) }, name),
    ]),
  );
  /** @param {string} field */
  const error = (field) => (parts.errors[field] = el("p.error", { role: "alert", id: `sv-sweep-${field}` }));
  /** @param {[string, string, string]} given */
  const field = ([name, label, help]) => {
    parts.fields[name] = el("input", {
      type: "text",
      inputmode: "decimal",
      autocomplete: "off",
      "aria-label": label,
      "aria-describedby": `sv-sweep-${name}`,
      "data-sweep": name,
    });
    parts.fields[name].addEventListener("input", () => {
      fault(name, "");
      changed();
    });
    return el(
      "div",
      null,
      el("label.field", { title: help }, el("span", null, label), parts.fields[name]),
      error(name),
    );
  };
  return el(
    "div.sheet.sweepform",
    null,
    el(
      "div",
      null,
      el("h3", null, "Rules and knob values"),
      el(
        "p.caption",
        null,
        "Each value is a setting of its own. The verifier alone is always run too: the others are held against it.",
      ),
      parts.lines,
      error("rules"),
      parts.add,
    ),
    el(
      "div",
      null,
      el("h3", null, "Questions and decoding"),
      el("p.caption", null, "One right answer each. The small pair was never trained on any of them."),
      el("div.sweepfields", null, FIELDS.map(field)),
      el("div.families", { role: "group", "aria-label": "Families of questions" }, Object.values(parts.families)),
      error("families"),
    ),
  );
}

// What the form comes to, in words.
export const sum = () => parts.sum;
