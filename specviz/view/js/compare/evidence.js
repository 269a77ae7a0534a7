// What the inspector shows of a judged token: what each distribution says, what other rules would do, what it cost.
import { boot, defaults } from "specviz/core/boot.js";
import { el } from "specviz/core/dom.js";
import { fixed, label, named, nats, number, percent, prob, symbol } from "specviz/core/formats.js";
import * as rules from "specviz/laws/rules.js";
import { twins } from "specviz/laws/twins.js";

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
export function table(slice, run, here, token, lane) {
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
export function others(token, lane, facts) {
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
export function facts(lane, f) {
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
