// Puts the page together, shows the first recorded run, and hands over to Python once Gradio is there.
import { boot, defaults, offline } from "specviz/core/boot.js";
import { el, inside, set } from "specviz/core/dom.js";
import { emit, on } from "specviz/core/events.js";
import * as live from "specviz/core/live.js";
import { MAX_LANES, onDisplay, state } from "specviz/core/state.js";
import * as sets from "specviz/laws/sets.js";
import * as twins from "specviz/laws/twins.js";
import * as advisor from "specviz/compare/advisor.js";
import * as controls from "specviz/compare/controls.js";
import { display, firstExample, recorded } from "specviz/compare/examples.js";
import * as fork from "specviz/compare/fork.js";
import * as hardware from "specviz/compare/hardware.js";
import * as inspector from "specviz/compare/inspector.js";
import * as lanes from "specviz/compare/lanes.js";
import * as models from "specviz/compare/models.js";
import * as notices from "specviz/compare/notices.js";
import * as plots from "specviz/compare/plots.js";
import * as sheet from "specviz/compare/sheet.js";
import * as timeline from "specviz/compare/timeline.js";
import * as tree from "specviz/compare/tree.js";
import * as playground from "specviz/playground/playground.js";
import * as sweep from "specviz/sweep/sweep.js";
import * as credits from "specviz/shell/credits.js";
import * as keys from "specviz/shell/keys.js";
import * as links from "specviz/shell/links.js";
import * as projector from "specviz/shell/projector.js";
import * as sections from "specviz/shell/sections.js";
import * as share from "specviz/shell/share.js";
import * as tour from "specviz/shell/tour.js";

/** @type {HTMLButtonElement | undefined} */
let themeButton;
/** @type {HTMLElement} */
let host; // what holds the page: first in the body, then where Gradio wants it

/** @param {string} name */
function stored(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

/** @param {string | null} wanted */
function theme(wanted) {
  const dark = wanted ? wanted === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.body?.classList.toggle("dark", dark); // for what Gradio shows by itself
  if (themeButton) set(themeButton, dark ? "Light" : "Dark");
  emit("theme");
}

function toggleTheme() {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  try {
    localStorage.setItem("specviz-theme", next);
  } catch {
    /* a private window: this visit only */
  }
  theme(next);
}

/**
 * @param {Fate} fate
 * @param {string} words
 */
const mark = (fate, words) => el(`span.t.${fate}`, null, el("bdi", null, words));

function page() {
  themeButton = el(
    "button.plainbutton",
    { type: "button", onclick: toggleTheme, "aria-label": "Switch between light and dark" },
    "Dark",
  );
  const hide = el("input", { type: "checkbox", role: "switch", "aria-label": "Hide cut tokens" });
  const race = el("input", { type: "checkbox", role: "switch", "aria-label": "Time plain decoding too" });
  race.checked = state.withPlain;
  race.addEventListener("change", () => {
    state.withPlain = race.checked;
  });
  const box = el("div.sheet.lanes");
  const [upper, lower] = plots.build();
  const tabs = el("div.lanetabs", { role: "tablist", "aria-label": "Lanes" });
  const add = el("button.plainbutton", { type: "button", onclick: () => controls.addLane() }, "+ Add a lane");
  hide.addEventListener("change", () => {
    state.hideCut = hide.checked;
    box.classList.toggle("hidecut", hide.checked);
  });
  on("run columns", () => {
    add.hidden = state.columns.length >= MAX_LANES || Boolean(offline);
  });
  const plainSwitch = offline
    ? null
    : el(
        "label.switch",
        { title: "Runs the verifier alone beside the lanes, to measure the speed-up against." },
        race,
        "Time plain decoding too",
      );
  const hideSwitch = el("label.switch", null, hide, "Hide cut tokens");
  const ask = controls.build(el("div.lanetools", null, models.build()));
  const versions = el("span");
  on("run", () => set(versions, models.foot(onDisplay().trace)));
  const node = el(
    "div.sv",
    null,
    el(
      "header.top",
      null,
      el("h1.brand", { "aria-label": "specviz" }, "spec", el("i", null, "viz")),
      el("span.strap", null, "Acceptance rules in speculative decoding, seen token by token"),
      el("div.actions", null, share.build(), themeButton),
    ),
    el(
      offline ? "main.page" : "div.page",
      null, // Gradio brings a main element of its own
      el(
        "div.screen",
        null,
        el(
          "p.opening",
          null,
          "A small model drafts, a big one checks. Most of the draft is ",
          mark("accepted", "kept"),
          ". Some of it is ",
          mark("relaxed", "kept by leniency"),
          ": a strict check would have refused it. The first ",
          mark("rejected", "refused"),
          " token is ",
          mark("resampled", "rewritten"),
          " and the draft behind it ",
          mark("discarded", "goes unread"),
          ". A clean round earns one ",
          mark("bonus", "extra"),
          ".",
        ),
        ask,
        fork.build(),
        el(
          "div.main",
          null,
          el(
            "div.left",
            null,
            tabs,
            box,
            el(
              "div.under",
              null,
              timeline.build(),
              el("div.lanechoices", null, hardware.build(), add, plainSwitch, hideSwitch),
            ),
          ),
          sheet.build(inspector.build()),
        ),
      ),
      tree.build(),
      upper,
      lower,
      offline ? null : advisor.build(),
      el(
        "footer.colophon",
        null,
        versions,
        el("span", null, "Same seed, same draws in every lane: they differ only where the rules do."),
      ),
    ),
  );
  lanes.mount(box, tabs);
  projector.build(node);
  inside(node, ".top .actions").prepend(tour.button(node));
  themeButton.before(credits.button());
  keys.build();
  sections.mount(node);
  sections.add(playground.build());
  if (!offline) sections.add(sweep.build());
  sections.start();
  return node;
}

async function start() {
  host.replaceChildren(page());
  theme(stored("specviz-theme"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    if (!stored("specviz-theme")) theme(null);
  });
  /** @type {Wanted | null} */
  let wanted = null;
  /** @type {URL | null} */
  let elsewhere = null;
  try {
    if (!offline) [wanted, elsewhere] = [links.read(location.hash), links.traceAt(location.hash)];
  } catch (error) {
    notices.error("prompt", error instanceof Error ? error.message : String(error));
  }
  if (offline) return display(offline, true);
  const example =
    boot.prompts.find((one) => wanted && one.recorded && one.text === wanted.form.prompt) ?? firstExample();
  if (!state.columns.length) {
    state.columns = boot.openings.lanes
      .filter((rule) => boot.rules[rule])
      .map((rule) => ({ rule, knobs: defaults(rule), from: null }));
    emit("columns");
    emit("form");
  }
  try {
    const text = await recorded(example);
    if (text && wanted && links.matches(JSON.parse(text), wanted)) {
      display(text, wanted.at === null && !wanted.pick, wanted.columns);
      return share.restore(wanted);
    }
    if (text && !wanted) display(text, !elsewhere);
  } catch {
    /* without a recorded run the page waits for Run */
  }
  const [away, asked] = [elsewhere, wanted];
  if (away) whenConnected(() => share.openAt(away));
  if (!asked) return;
  Object.assign(state.form, asked.form);
  state.columns = asked.columns;
  emit("columns");
  emit("form");
  const again = () => {
    if (restoreOnce) {
      restoreOnce = false;
      share.restore(asked);
    }
  };
  let restoreOnce = true;
  on("ended", again);
  whenConnected(() => controls.run(asked.continued ? { continued: asked.continued } : {}));
}

/** @param {() => void} act */
function whenConnected(act) {
  if (live.wire()) act();
  else on("connected", act);
}

// Opens the page, as soon as there is a body. Nothing a visitor sees first needs Gradio.
export async function open() {
  if (host) return;
  host = el("div");
  theme(stored("specviz-theme"));
  recorded(firstExample())?.catch(() => {});
  await Promise.all([twins.load(boot.twins), sets.load(Object.keys(boot.sets)), plots.find(boot.plots)]);
  while (!document.body) await new Promise(requestAnimationFrame);
  document.body.prepend(host);
  await start();
}

// Called by the component when Gradio has mounted it.
/**
 * @param {HTMLElement} element
 * @param {Wire} wire
 */
export async function attach(element, wire) {
  /** @type {HTMLElement & { moveBefore?: (node: Node, before: Node | null) => void }} */
  const place = inside(element, ".sv-host");
  const active = /** @type {HTMLElement | null} */ (document.activeElement);
  if (host.isConnected && place.moveBefore)
    place.moveBefore(host, null); // keeps focus and scrolling
  else {
    place.append(host);
    active?.focus({ preventScroll: true });
  }
  live.connect(wire);
}
