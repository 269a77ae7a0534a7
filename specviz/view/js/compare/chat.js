// How a prompt is put to the models: the style, and the system message of a chat.
import { offline } from "specviz/core/boot.js";
import { el } from "specviz/core/dom.js";
import { emit } from "specviz/core/events.js";
import { breaksOff } from "specviz/core/prompts.js";
import { state } from "specviz/core/state.js";
import * as models from "specviz/compare/models.js";
import * as notices from "specviz/compare/notices.js";

/**
 * @typedef {{
 *   field: HTMLElement, style: HTMLSelectElement, text: HTMLTextAreaElement, none: HTMLInputElement,
 *   box: HTMLDetailsElement,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({});

const chats = () => parts.style.value === "chat";

// {style, system}, as they go to Python: no system message is what the template says by itself, an empty one is none.
export function settings() {
  const given = parts.none.checked ? "" : parts.text.value.trim() ? parts.text.value : null;
  return { style: parts.style.value || null, system: chats() ? given : null };
}

function changed() {
  Object.assign(state.form, settings());
  notices.error("system", "");
  show();
}

function show() {
  parts.box.hidden = !chats();
  parts.text.disabled = parts.none.checked;
  const own = models.system();
  parts.text.placeholder = own || (own === "" ? "The template puts none." : "What the template says by itself.");
}

// The controls as the state says it.
export function draw() {
  const known = models.styles();
  const { style, system } = state.form;
  const names = Object.keys(known);
  if (style && !names.includes(style)) names.push(style); // of a run by other models
  const plain = Object.hasOwn(known, "chat") ? [] : [el("option", { value: "" }, "none")];
  parts.style.replaceChildren(
    ...plain,
    ...names.map((name) => el("option", { value: name, title: known[name] }, name)),
  );
  parts.style.value = style || (plain.length ? "" : "chat");
  parts.field.hidden = !names.length || Boolean(offline);
  parts.none.checked = system === "";
  parts.text.value = system || "";
  if (system !== null) parts.box.open = true;
  show();
  if (offline) parts.box.hidden = system === null;
}

// {words, button} where a message breaks off within a sentence, and the models could go on with it instead.
/** @param {string} prompt */
export function other(prompt) {
  if (state.form.style !== "chat" || !Object.hasOwn(models.styles(), "text") || !breaksOff(prompt)) return null;
  const act = () => {
    parts.style.value = "text";
    changed();
    emit("form");
  };
  return {
    words: "This breaks off within a sentence, and will be answered as a message.",
    button: el("button.linkbutton", { type: "button", onclick: act }, "Go on with it instead"),
  };
}

export function build() {
  parts.style = el("select", { "aria-label": "Style", onchange: changed });
  parts.text = el("textarea", {
    rows: 2,
    "aria-label": "System message",
    spellcheck: "false",
    dir: "auto",
    readonly: Boolean(offline),
  });
  parts.text.addEventListener("input", changed);
  parts.text.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey)) event.stopPropagation();
  });
  parts.none = el("input", {
    type: "checkbox",
    role: "switch",
    "aria-label": "Send no system message",
    disabled: Boolean(offline),
  });
  parts.none.addEventListener("change", changed);
  parts.box = el(
    "details.systembox",
    { hidden: true },
    el("summary", null, "System message"),
    el("div", null, parts.text, el("label.switch", null, parts.none, "Send none")),
    el("p.error", { role: "alert", "data-error": "system" }),
  );
  parts.field = el("label.field", { title: "What kind of text the models are asked for." }, "Style", parts.style);
  return {
    style: parts.field,
    system: parts.box,
  };
}
