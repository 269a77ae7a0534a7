// The playground: two small distributions, every rule, exact. Puts its parts together, says in a sentence what they
// show, and keeps the address in step.
import { boot } from "specviz/core/boot.js";
import { el, framed, set } from "specviz/core/dom.js";
import { emit, on } from "specviz/core/events.js";
import { named, nats, percent, prob } from "specviz/core/formats.js";
import * as laws from "specviz/laws/laws.js";
import { section } from "specviz/parts/section.js";
import * as bars from "specviz/playground/bars.js";
import * as candidates from "specviz/playground/candidates.js";
import * as chart from "specviz/playground/chart.js";
import * as check from "specviz/playground/check.js";
import * as play from "specviz/playground/play.js";
import { state } from "specviz/playground/play.js";
import * as table from "specviz/playground/table.js";
import { title } from "specviz/playground/title.js";

/**
 * @typedef {{
 *   opening: HTMLElement, spoken: HTMLElement, error: HTMLElement, presets: Record<string, HTMLButtonElement>,
 * }} Parts
 */
const parts = /** @type {Parts} */ ({});
const TITLE = "Drag a bar: every rule follows, exactly";
let ticket = 0;

/** @param {number} value */
const few = (value) =>
  value < 5e-6
    ? "0"
    : value < 1e-4
      ? nats(value)
      : value < 0.995
        ? value.toPrecision(2)
        : String(+value.toPrecision(3));
/** @param {number} i */
const token = (i) => el("bdi.tok", null, named(state.names[i]));

/** @param {number} ratio */
function times(ratio) {
  if (ratio >= 1.95 && ratio < 2.05) return "twice as often as";
  if (ratio >= 9.5) return `${Math.round(ratio)} times as often as`;
  if (ratio >= 1.2) return `${ratio.toFixed(1)} times as often as`;
  return "a little more often than";
}

// What the present state shows, every number computed.
function sentence() {
  const n = state.token;
  const [draft, verifier] = [state.draft[n], state.verifier[n]];
  const { focus, strict, frontier } = play.now;
  const out = [];
  if (draft === 0) out.push("The draft never says ", token(n), `; the verifier gives it ${prob(verifier)}.`);
  else if (verifier === 0)
    out.push(
      "The draft says ",
      token(n),
      ` ${percent(draft)} % of the time, and the verifier rules it out, so a strict check never keeps it.`,
    );
  else if (draft > verifier * 1.01)
    out.push(
      "The draft says ",
      token(n),
      ` ${times(draft / verifier)} the verifier wants it: a strict check keeps it ${percent(strict[n])} % of the time.`,
    );
  else if (draft >= verifier * 0.99)
    out.push("Draft and verifier agree on ", token(n), ": even a strict check always keeps it.");
  else
    out.push("The verifier wants ", token(n), " more often than the draft says it, so a strict check always keeps it.");
  const phi = focus.accept[n];
  const name = title(focus);
  const lead = [" ", el("b", null, name)];
  if (draft > 0) {
    const target = focus.target ? focus.target(n) : null;
    if (focus.lossless)
      out.push(...lead, Math.abs(phi - strict[n]) < 5e-4 ? " is that strict check." : ` keeps it ${percent(phi)} %.`);
    else if (phi > strict[n] + 5e-4 && target && target[n] > verifier + 5e-4)
      out.push(
        ...lead,
        ` lifts it from ${few(verifier)} to ${few(target[n])}, at ${few(laws.kl(target, state.verifier))} ` +
          `nats for this token, and keeps it ${percent(phi)} %.`,
      );
    else if (phi > strict[n] + 5e-4) out.push(...lead, ` raises that to ${percent(phi)} %.`);
    else if (phi < strict[n] - 5e-4)
      out.push(...lead, phi < 5e-4 ? " never keeps it." : ` lowers that to ${percent(phi)} %.`);
    else
      out.push(
        ...lead,
        phi < 5e-4 ? " never keeps it either." : phi > 1 - 5e-4 ? " keeps it too." : " keeps it just as often.",
      );
  } else out.push(...lead, " is in focus.");
  const base = frontier.start.acceptance;
  const gain = focus.acceptance - base;
  const top = focus.acceptance + focus.short;
  const digits = focus.short >= 5e-4 && !focus.lossless && percent(top) === percent(focus.acceptance) ? 1 : null;
  out.push(
    " Over all tokens, acceptance ",
    Math.abs(gain) < 5e-4
      ? `stays at ${percent(base)} %`
      : `${gain > 0 ? "rises" : "falls"} from ${percent(base, digits)} to ${percent(focus.acceptance, digits)} %`,
    focus.lossless || focus.kl < 1e-12
      ? ", and what is written stays exactly the verifier’s."
      : focus.kl === Infinity
        ? ", and words get written that the verifier rules out."
        : `, and what is written strays by ${few(focus.kl)} nats.`,
  );
  if (!focus.lossless && Number.isFinite(focus.kl) && focus.kl > 1e-12)
    out.push(
      focus.short < 5e-4
        ? " No rule could accept more for that."
        : ` The best possible rule would accept ${percent(top, digits)} % for that.`,
    );
  return out;
}

const paint = framed(() => {
  if (!state.open || !play.now) return;
  parts.opening.replaceChildren(...sentence());
  Object.entries(parts.presets).forEach(([key, button]) =>
    button.setAttribute("aria-pressed", String(key === state.preset)),
  );
  bars.render();
  chart.render();
  table.render();
  check.render();
  candidates.render();
});

function remember() {
  clearTimeout(ticket);
  ticket = setTimeout(() => {
    if (!state.open || state.moving) return;
    emit("address");
    const { focus } = play.now;
    set(parts.spoken, `${title(focus)} accepts ${percent(focus.acceptance, 1)} % at ${nats(focus.kl)} nats.`);
  }, 350);
}

// What the address holds of it, if anything; a damaged part gets a sentence.
/** @param {string} text */
function unpack(text) {
  set(parts.error, "");
  if (text) {
    try {
      play.unpack(text);
    } catch (error) {
      set(parts.error, error instanceof Error ? error.message : String(error));
    }
  }
  if (!play.now) play.choose("worked");
}

function page() {
  parts.opening = el("p.opening", { "aria-live": "off" });
  parts.spoken = el("p.sr", { role: "status" }); // for those who do not see the sentence change
  parts.error = el("p.error", { role: "alert" });
  parts.presets = Object.fromEntries(
    Object.entries(boot.openings.presets).map(([key, { name }]) => [
      key,
      el(
        "button",
        {
          type: "button",
          "aria-pressed": "false",
          onclick: () => {
            set(parts.error, "");
            play.choose(key);
          },
        },
        name,
      ),
    ]),
  );
  return section(
    ".playground",
    "Playground",
    el(
      "div.intro",
      null,
      el("h2", null, TITLE),
      parts.opening,
      parts.spoken,
      parts.error,
      el("div.examples", { role: "group", "aria-label": "Presets" }, Object.values(parts.presets)),
    ),
    el("div.playpair", null, bars.build(), chart.build()),
    table.build(),
    el("div.playpair.under", null, check.build()),
    candidates.build(),
    el(
      "footer.colophon",
      null,
      el("span", null, "No model, no server: every number is computed here, by its definition."),
      el(
        "span",
        null,
        "Frontier: Tran-Thien 2023 (mentored decoding); optimal among single-draft rules, arXiv 2609.30474",
      ),
    ),
  );
}

// The section, see shell/sections.js.
export function build() {
  const node = page();
  play.choose("worked");
  play.on(() => {
    paint();
    remember();
  });
  on("theme", paint);
  const opened = () => {
    state.open = true;
    paint();
  };
  return {
    words: "Playground",
    key: "play",
    page: node,
    pack: play.pack,
    unpack,
    opened,
    closed: () => {
      state.open = false;
    },
  };
}
