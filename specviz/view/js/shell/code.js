// "Use it from code": a dialog with the settings as they are now, as Python, gradio_client, curl and a command.
import { offline } from "specviz/core/boot.js";
import { el, set } from "specviz/core/dom.js";
import { dialog as make, fill, open as show } from "specviz/parts/dialog.js";
import * as controls from "specviz/compare/controls.js";
import { servers } from "specviz/shell/servers.js";
import { snippets } from "specviz/shell/snippets.js";

const ABOUT = {
  Python: "In a Python with specviz installed; no page is needed.",
  gradio_client:
    "Asks this page, from any Python: pip install gradio_client. Iterate over client.submit(...) for the rounds as they come.",
  curl: "Asks this page. The messages come as the run goes on; the last one has all of it.",
  "Command line": "Decodes on your own machine, and shows the text in the colours of its fates.",
};
const TITLE = "Use it from code";
let dialog = null;

const address = () => (offline ? null : new URL(".", location.href).href);

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

function part({ name, text, about = ABOUT[name] }) {
  const button = el(
    "button.plainbutton",
    { type: "button", "aria-label": `Copy the ${name} text`, onclick: () => copy(button, text) },
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
function deployed(settings) {
  return servers(settings).map(({ server, text, missing }) =>
    part({ name: server, text, about: missing.length ? `It has no ${missing.join(", no ")}.` : "" }),
  );
}

// Opens it, asked for by `item` of a menu.
export function open(item) {
  const settings = controls.request();
  if (!dialog) build(item.closest(".menu").querySelector("button"));
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

function build(opener) {
  dialog = make("codedialog");
  dialog.addEventListener("close", () => opener.focus());
}
