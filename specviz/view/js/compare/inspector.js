// Everything about the selected token: where the draw fell, what each distribution says, what other rules would do.
import { boot, defaults } from "specviz/core/boot.js";
import * as continued from "specviz/core/continued.js";
import { el } from "specviz/core/dom.js";
import { on } from "specviz/core/events.js";
import { fixed, label, named, nats, number, percent, prob, symbol } from "specviz/core/formats.js";
import { pick, pickedToken, shown, state } from "specviz/core/state.js";
import * as store from "specviz/core/store.js";
import { rejudged } from "specviz/laws/rejudged.js";
import * as rules from "specviz/laws/rules.js";
import { twins } from "specviz/laws/twins.js";
import { bar } from "specviz/compare/abar.js";
import * as copied from "specviz/parts/passage.js";
import * as fork from "specviz/compare/fork.js";
import * as sheet from "specviz/compare/sheet.js";
import * as tree from "specviz/compare/tree.js";

/** @type {HTMLElement} */
let box;

/** @param {string} text */
const strong = (text) => el("b", null, text);

// How many candidates were refused at a place.
/**
 * @param {Lane} lane
 * @param {Token} token
 */
const refused = (lane, { round, position }) =>
  lane.rounds[round].tokens.filter((one) => one.fate === "rejected" && one.position === position).length;

/**
 * @param {Token} token
 * @param {Lane} lane
 * @param {Facts} [facts]
 */
function sentence(token, lane, facts) {
  // At which values of the main knob the same draw would keep it.
  const from = () => {
    const kept = facts && rules.keptWords(lane, facts);
    const knob = facts && rules.keptAt(lane, facts)?.knob;
    if (!kept || !knob) return [];
    const sign = symbol(knob.name);
    if (!kept.length) return [` No ${sign} ${knob.allowed} would keep it.`];
    return [" It would be kept ", ...kept.map((part, i) => (i % 2 ? strong(part) : part)), "."];
  };
  switch (token.fate) {
    case "relaxed":
      return [
        strong("Kept by leniency."),
        ` ${facts ? rules.because(lane, facts) : ""} A strict check would have refused it.`.replace("  ", " "),
        ...from(),
      ];
    case "rejected":
      return [
        strong("Refused."),
        token.uniform < token.strict ? " A strict check would have kept it." : " A strict check refuses it too.",
        ...(lane.lossless ? [] : from()),
      ];
    case "accepted":
      return [
        strong("Kept."),
        lane.lossless
          ? " The rule is strict: it keeps it as often as the verifier would say it."
          : " A strict check keeps it too.",
      ];
    case "resampled":
      return [
        strong("The verifier's own word."),
        refused(lane, token) > 1
          ? ` All ${refused(lane, token)} candidates here were refused, so this one was drawn instead.`
          : " The drafted token here was refused, so this one was drawn instead.",
      ];
    case "bonus":
      return [strong("Extra."), " The whole draft was kept, so the verifier's look at it pays for one more token."];
    case "plain":
      return [strong("Written by the verifier alone."), " Nothing was drafted."];
    default:
      return [strong("Never judged."), ` ${store.unread(lane.rounds[token.round], token)}`];
  }
}

/** @type {[Exclude<keyof SliceData, "tokens">, string][]} */
const COLUMNS = [
  ["draft", "what the token was drawn from"],
  ["verifier", "what the verifier wants"],
  ["target", "what the rule aims at once this token was drafted"],
  ["residual", "drawn from if the token is refused"],
  ["output", "what the position really emits"],
];

/** @type {Record<string, string>} */
const BROKEN = { verifier: "veri\u00adfier", residual: "resid\u00adual" }; // where a head is too long for its column

/**
 * @param {SliceData} slice
 * @param {Run} run
 * @param {number} here
 * @param {Token} token
 * @param {Lane} lane
 */
function table(slice, run, here, token, lane) {
  const rows = slice.tokens.map((id, i) => ({ id, i })).slice(0, 7);
  const at = slice.tokens.indexOf(here);
  if (at >= 7) rows[6] = { id: here, i: at };
  const head = el(
    "tr",
    null,
    el("th", { scope: "col" }, el("span.sr", null, "token")),
    COLUMNS.map(([name, words]) => el("th", { scope: "col", title: words }, BROKEN[name] ?? name)),
  );
  const unused = token.judged >= 0 && token.accept >= 1;
  const body = rows.map(({ id, i }) =>
    el(
      id === here ? "tr.here" : "tr",
      null,
      el("th", { scope: "row" }, el("bdi", null, named(run.trace.pieces[id] ?? ""))),
      COLUMNS.map(([name]) => {
        const values = slice[name];
        if (!values) return el("td.unused", { title: "This rule has no target distribution." }, "–");
        const value = values[i];
        const lifted =
          id === here && !lane.lossless && (name === "target" || name === "output") && value > slice.verifier[i] * 1.02;
        const kind = lifted
          ? "td.amber"
          : name === "residual"
            ? unused
              ? "td.unused"
              : "td.blue"
            : value === 0
              ? "td.unused"
              : "td";
        const bar = el(value > 0 ? "span.bar" : "span.bar.zero");
        bar.style.width = `${Math.max(0, Math.min(1, value)) * 100}%`;
        return el(kind, null, percent(value), bar);
      }),
    ),
  );
  return el("table.dists", null, el("thead", null, head), el("tbody", null, body));
}

/**
 * @param {Token} token
 * @param {Lane} lane
 * @param {Facts} facts
 */
function others(token, lane, facts) {
  /** @type {{ label: string, phi: number, own: boolean }[]} */
  const found = [];
  /** @type {string[]} */
  const undecided = [];
  /** @type {string[]} */
  const unknown = [];
  const known = boot.rules;
  /**
   * @param {string} rule
   * @param {Knobs} knobs
   * @param {boolean} own
   */
  const add = (rule, knobs, own) => {
    const phi = own ? token.accept : rules.accept(rule, facts, knobs);
    if (phi === null) (twins[rule] ? undecided : unknown).push(rule);
    else found.push({ label: label(rule, knobs), phi, own });
  };
  add(lane.rule, lane.knobs, true);
  Object.keys(known)
    .filter((rule) => rule !== "plain" && rule !== lane.rule)
    .forEach((rule) => add(rule, defaults(rule), false));
  found.sort((a, b) => a.phi - b.phi);
  const rows = found.map(({ label, phi, own }) => {
    const keeps = facts.uniform < phi;
    const fill = el("i");
    fill.style.width = `${phi * 100}%`;
    return [
      el(`span${keeps ? ".keeps" : ""}${own ? ".own" : ""}`, null, label),
      el("span.bar", null, fill),
      el(keeps ? "span.keeps" : "span", { title: keeps ? "keeps" : "refuses" }, prob(phi)),
    ];
  });
  const list = el(
    "div.others",
    {
      role: "img",
      "aria-label": found
        .map(({ label, phi }) => `${label} ${facts.uniform < phi ? "keeps" : "refuses"}, ${fixed(phi)}`)
        .join("; "),
    },
    rows,
  );
  list.style.setProperty("--u", `${facts.uniform * 100}%`);
  /**
   * @param {string} words
   * @param {string[]} names
   */
  const aside = (words, names) => (names.length ? el("p.aside", null, `${words}: ${names.join(", ")}.`) : null);
  return [list, aside("Not decided by what a trace holds", undecided), aside("The browser cannot compute", unknown)];
}

/**
 * @param {Lane} lane
 * @param {Facts} f
 */
function facts(lane, f) {
  /** @type {HTMLElement[]} */
  const rows = [];
  /**
   * @param {string} name
   * @param {string} value
   * @param {string} words
   */
  const row = (name, value, words) => rows.push(el("dt", { title: words }, name), el("dd", null, value));
  const budget = rules.spending(lane, f);
  if (budget)
    row(
      `Budget ${symbol(rules.budget(lane.rule)?.name ?? "")}`,
      number(budget.delta),
      "What one drafted token's target may stray from the verifier.",
    );
  if (typeof f.klTarget === "number")
    row("Spent on this token, KL(h‖q)", nats(f.klTarget), "Divergence of the target this drafted token got.");
  const other = lane.knobs.solver === "exact" ? "taylor" : "exact";
  if (budget)
    row(
      `The same by solver ${other}`,
      nats(budget[other]),
      other === "exact"
        ? "The exact solver spends the whole budget, or what it takes to be certain."
        : "The paper's approximation may spend more or less than the budget.",
    );
  row(
    "Of the whole step, KL(output‖q)",
    nats(f.klOutput),
    "Divergence of what the position really emits, over all tokens that could have been drafted.",
  );
  row(
    "Had the draft been taken as is, KL(p‖q)",
    nats(f.klDraft),
    "Divergence of the draft distribution itself: the most this step could cost.",
  );
  row(
    "Entropy of draft, verifier",
    `${fixed(f.draftEntropy)}, ${fixed(f.entropy)}`,
    "How unsure each model is, in nats.",
  );
  row("Rank under the verifier", String(f.rank ?? "–"), "1 is the verifier's favourite.");
  return [
    el("dl.facts", null, rows),
    budget?.targetOver
      ? el(
          "p.aside",
          null,
          "This token alone costs more than δ: taylor only approximates the budget, and lifts too far here.",
        )
      : null,
    budget?.lawOver
      ? el(
          "p.aside",
          null,
          `The step costs ${(f.klOutput / budget.delta).toFixed(1)} times δ: the rule lifts whichever token ` +
            "is drafted, and the lifts add up.",
        )
      : null,
  ];
}

/**
 * @param {string} words
 * @param {Node | null} right
 */
function heading(words, right) {
  return el("div.rowspread", null, el("h3", null, words), right);
}

/**
 * @param {Lane} lane
 * @param {Token} token
 * @param {number} by
 */
function jump(lane, token, by) {
  const [, found] = store.worth(lane);
  if (!found.length) return;
  const next =
    by > 0
      ? found.find((one) => one.key > token.key) || found[0]
      : [...found].reverse().find((one) => one.key < token.key) || found[found.length - 1];
  pick(lane.index, next.key);
}

// What the other lanes wrote at the same position; their dot is explained here.
/**
 * @param {Token} token
 * @param {Lane} lane
 */
function elsewhere(token, lane) {
  const found = shown()
    .filter((one) => one.lane !== lane)
    .flatMap((one) => {
      const other = store.writtenAt(one.lane, token.position);
      return other ? [{ name: one.title, other }] : [];
    });
  if (!found.length) return null;
  return el(
    "p.aside",
    null,
    el("span.dot", { "aria-hidden": "true" }),
    "Same position: ",
    found.map(({ name, other }, i) => [i ? ", " : "", `${name} wrote `, el("bdi.mono", null, named(other.text))]),
    ".",
  );
}

// Which of several candidates it was, and the way to the round's tree.
/**
 * @param {Token} token
 * @param {Lane} lane
 */
function candidate(token, lane) {
  const round = lane.rounds[token.round];
  if (!round.shape.tree) return null;
  const parent = round.shape.parents[token.slot];
  const all = [...round.shape.parents.keys()].filter((slot) => round.shape.parents[slot] === parent);
  const several = parent !== undefined && all.length > 1;
  const words = several ? `Candidate ${all.indexOf(token.slot) + 1} of ${all.length} for its place. ` : "";
  const go = () => {
    sheet.open(false);
    tree.show();
  };
  return el("p.aside", null, words, el("button.link", { type: "button", onclick: go }, "The round’s tree"));
}

function draw() {
  const { run } = state;
  const token = pickedToken();
  if (!token || !run) {
    box.replaceChildren(
      el(
        "div",
        null,
        el("h3", null, "Nothing selected"),
        el(
          "p.verdict",
          null,
          "Click a token, or move to a lane and use the arrow keys, to see why it was kept or cut.",
        ),
      ),
    );
    return;
  }
  const { lane, slice, facts: recorded, round } = store.detail(run, token);
  const column = shown().find((one) => one.lane === lane)?.column;
  const again = column && rejudged(run, lane, column.knobs);
  const accept = recorded && column && again?.possible ? rules.accept(lane.rule, recorded, column.knobs) : null;
  const f = !recorded || accept === null ? recorded : { ...recorded, accept }; // as the dragged knob would have it
  const [kind, found] = store.worth(lane);
  const nav = found.length
    ? el(
        "div.nav",
        null,
        el(
          "button",
          { type: "button", "aria-label": `Previous ${kind} token`, onclick: () => jump(lane, token, -1) },
          "‹",
        ),
        el("span.caption", { style: "line-height:28px" }, kind),
        el("button", { type: "button", "aria-label": `Next ${kind} token`, onclick: () => jump(lane, token, 1) }, "›"),
      )
    : null;
  const written = token.position - continued.promptLength(run.trace) + 1;
  const word = el(`span.t.${token.fate}`, null, el("bdi", null, named(token.text)));
  const blocks = [
    el(
      "div",
      null,
      el("div.rowspread", null, el("span.caption", null, `Token ${written} of ${lane.label}`), nav),
      el("div.token", null, word),
      el("p.verdict", null, sentence(token, lane, f)),
      el("div.origin", null, copied.about(run, token)),
      elsewhere(token, lane),
      candidate(token, lane),
    ),
  ];
  if (f)
    blocks.push(
      el(
        "div",
        null,
        heading(
          accept === null
            ? "Where the draw fell"
            : `Where the draw would fall, ${label(lane.name, column?.knobs ?? lane.knobs)}`,
          lane.scope === "block" ? el("span.caption", null, "one draw of the block") : null,
        ),
        bar(f),
      ),
    );
  const goOn = fork.block(token, lane, slice);
  if (goOn) blocks.push(goOn);
  if (slice) {
    const here = f ? token.id : round.emitted[round.emitted.length - 1];
    blocks.push(
      el(
        "div",
        null,
        heading(
          "What each distribution says",
          el("span.caption", null, "percent ", el("span.badge.exact", null, "exact")),
        ),
        table(slice, run, token.fate === "discarded" ? -1 : here, token, lane),
      ),
    );
  }
  if (f) {
    blocks.push(
      el(
        "div",
        null,
        heading("Every rule, same draw", el("span.caption", null, "past the line: kept")),
        others(token, lane, f),
      ),
    );
    blocks.push(
      el(
        "div",
        null,
        heading("Divergence here", el("span.caption", null, "nats ", el("span.badge.exact", null, "exact"))),
        facts(lane, f),
      ),
    );
  }
  box.replaceChildren(...blocks);
}

export function build() {
  box = el("aside.sheet.inspector", { "aria-label": "Selected token", tabindex: -1 });
  on("pick run columns whatif ended", draw);
  draw();
  return box;
}
