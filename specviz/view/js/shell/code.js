// "Use it from code": a dialog with the settings as they are now, as Python, gradio_client, curl and a command.
import { offline } from "specviz/core/boot.js";
import { el, inside, set } from "specviz/core/dom.js";
import { dialog as make, fill, open as show } from "specviz/parts/dialog.js";
import * as controls from "specviz/compare/controls.js";
import { servers } from "specviz/shell/servers.js";
import { snippets } from "specviz/shell/snippets.js";

/** @type {Record<string, string>} */
const ABOUT = {
  Python: "In a Python with specviz installed; no page is needed.",
  gradio_client:
    "Asks this page, from any Python: pip install gradio_client. Iterate over client.submit(...) for the rounds as they come.",
  curl: "Asks this page. The messages come as the run goes on; the last one has all of it.",
  "Command line": "Decodes on your own machine, and shows the text in the colours of its fates.",
};
const TITLE = "Use it from code";
/** @type {HTMLDialogElement} */
let dialog;

const address = () => (offline ? null : new URL(".", location.href).href);

/**
 * @param {HTMLElement} button
 * @param {string} text
 */
async function copy(button, text) {
  let words = "Copied";
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    words = "Select it and copy";
  }
  set(button, words);
  setTimeout(() => set(button, "Copy"), 1800);
}

/** @param {{ name: string, text: string, about?: string }} given */
function part({ name, text, about = ABOUT[name] }) {
  const button = el(
    "button.plainbutton",
    { type: "button", "aria-label": `Copy the ${name} text`, onclick: (event) => copy(event.currentTarget, text) },
    "Copy",
  );
  return el(
    "section",
    { "aria-label": name },
    el("div.codehead", null, el("h3", null, name), text && button),
    el("p.caption", null, about),
    text && el("pre.code", { tabindex: 0, dir: "ltr", "data-code": name }, el("code", null, text)),
  );
}

// What servers are told for the same lanes.
/** @param {RunRequest} settings */
function deployed(settings) {
  return servers(settings).map(({ server, text, missing }) =>
    part({ name: server, text, about: missing.length ? `It has no ${missing.join(", no ")}.` : "" }),
  );
}

// Opens it, asked for by `item` of a menu.
/** @param {HTMLElement} item */
export function open(item) {
  const settings = controls.request();
  if (!dialog) build(inside(/** @type {HTMLElement} */ (item.closest(".menu")), "button"));
  fill(
    dialog,
    TITLE,
    el("h2", null, TITLE),
    el("p", null, "The settings as they are now. The same seed writes the same text."),
    ...snippets(settings, address()).map(part),
    el("h3", null, "On a server"),
    el(
      "p",
      null,
      "The same rule and drafter as options of servers that have them. VERIFIER, DRAFT and HEAD stand for your models. " +
        "The law is the same; the draws are not, and so the text is another.",
    ),
    ...deployed(settings),
  );
  show(dialog);
}

/** @param {HTMLElement} opener */
function build(opener) {
  dialog = make("codedialog");
  dialog.addEventListener("close", () => opener.focus());
}
