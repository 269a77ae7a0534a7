// Links, traces in and out, and the replay file.
(function (root) {
  "use strict";
  const sv = root.specviz;
  const { el, set, pause } = sv.dom;
  const { state } = sv;
  let file;

  // The link carries settings, selection and playhead; prompt and all, as base64url of JSON.
  function encode(value) {
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  }

  function decode(text) {
    const bytes = Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  }

  function link() {
    const settings = sv.controls.settings();
    const value = { v: 1, ...settings };
    const continued = sv.fork.origin();
    if (continued && settings.prompt === state.run.trace.prompt && state.form.style === state.run.trace.style) Object.assign(value, { continued, style: state.form.style });
    if (state.picked) value.pick = [state.picked.lane, state.picked.key];
    if (state.run && state.time < state.run.span) value.at = state.time / state.run.span; // seconds are another machine's own
    return `${location.href.split("#")[0]}#run=${encode(value)}`;
  }

  // {settings, pick, at} from the address; `at` is the playhead as a share of the run, null without one; throws a sentence for garbage.
  function read(hash) {
    const found = /[#&]run=([^&]*)/.exec(hash);
    if (!found) return null;
    let value;
    try { value = decode(found[1]); } catch { throw new Error("This link is damaged, so its settings were ignored."); }
    if (!value || value.v !== 1 || typeof value.prompt !== "string" || !Array.isArray(value.lanes) || !value.lanes.length || value.lanes.length > sv.controls.MAX_LANES) throw new Error("This link was made by another version, so its settings were ignored.");
    const { pick, at = null, v, lanes, continued = null, drafter, ...form } = value;
    const damaged = (continued && !sv.fork.readable(continued)) || (at !== null && !(typeof at === "number" && at >= 0 && at <= 1));
    if (damaged) throw new Error("This link is damaged, so its settings were ignored.");
    const known = sv.boot_data().rules;
    const columns = lanes.map((lane) => {
      const rule = lane && (lane.rule === null ? "plain" : lane.rule);
      if (typeof rule !== "string" || !Object.hasOwn(known, rule)) throw new Error("This link names a rule that does not exist here, so its settings were ignored.");
      const knobs = sv.defaults(rule);
      Object.keys(knobs).forEach((name) => { const given = lane.knobs?.[name]; if (typeof given === "number" || typeof given === "string") knobs[name] = given; });
      return { rule, knobs, drafter: sv.drafter.readable(lane.drafter), from: null };
    });
    const clean = {};
    Object.keys(state.form).forEach((name) => { if (["string", "number"].includes(typeof form[name]) || form[name] === null) clean[name] = form[name]; });
    clean.pair = clean.pair ?? sv.models.older(); // links from before there were several
    clean.drafter = sv.drafter.readable(drafter) ?? (columns.some((column) => column.drafter) ? null : sv.store.drafter());
    return { form: clean, columns, continued, pick: Array.isArray(pick) && pick.every(Number.isInteger) ? pick : null, at };
  }

  // Whether a trace is the run these settings ask for.
  function matches(trace, wanted) {
    const form = wanted.form;
    if (wanted.continued || trace.continued) return false;
    const drafted = (lane, column) => lane.draft_length === form.draft_length &&
      sv.drafter.same(sv.store.drafter(lane.drafter), form.drafter ?? column.drafter ?? sv.store.drafter());
    const same = trace.prompt === form.prompt && (trace.style || null) === (form.style || null) && (trace.system ?? null) === (form.system ?? null) && sv.models.made(trace) === form.pair && trace.seed === form.seed && trace.max_new_tokens === form.max_new_tokens;
    const lanes = wanted.columns.map((column) => trace.lanes.findIndex((lane) => sv.store.ruleKey(lane.rule) === column.rule && (!lane.rule || drafted(lane, column)) &&
      Object.entries(lane.knobs || {}).every(([name, value]) => String(value) === String(column.knobs[name]))));
    if (!same || lanes.includes(-1) || !["temperature", "top_k", "top_p"].every((name) => trace.sampling[name] === form[name])) return false;
    wanted.columns.forEach((column, i) => { column.from = lanes[i]; });
    return true;
  }

  // Selection and playhead of a link, once its run is on display.
  function restore(wanted) {
    if (wanted.at !== null && state.run) sv.setTime(wanted.at * state.run.span);
    if (wanted.pick && state.run?.lanes[wanted.pick[0]]?.tokens[wanted.pick[1]]) sv.pick(...wanted.pick);
  }

  async function copyLink(button) {
    const url = link();
    history.replaceState(null, "", url);
    try {
      await navigator.clipboard.writeText(url);
      flash(button, "Link copied");
    } catch {
      flash(button, "Link is in the address bar");
    }
  }

  function flash(button, words) {
    const label = button.querySelector("span") || button;
    const was = button.dataset.label || label.textContent;
    button.dataset.label = was;
    set(label, words);
    setTimeout(() => set(label, was), 1800);
  }

  // The trace as Python wrote it. A run that is still going has none yet.
  function json() {
    if (!state.raw) throw new Error("This run has not ended yet.");
    return state.raw;
  }

  function saveTrace() {
    if (state.raw) sv.dom.download("specviz-trace.json", json(), "application/json");
    else sv.controls.notice("This run has not ended yet.");
  }

  // A file that the server makes of the run: `specviz.exports` has one for each name.
  async function saveExport(name, button) {
    const wire = sv.live.wire();
    if (!state.raw || !wire) return sv.controls.notice("This run has not ended yet.");
    flash(button, "Packing…");
    let made;
    try { made = await wire.server.export(JSON.stringify({ name, trace: json() })); } catch { made = { error: "The file could not be made. Is the server still there?" }; }
    if (made.error) return sv.controls.notice(made.error);
    sv.dom.download(made.file, Uint8Array.from(atob(made.data), (char) => char.charCodeAt(0)), made.type);
  }

  async function open(given) {
    sv.controls.clearErrors();
    let text = "";
    try {
      if (given.size > 100_000_000) throw new Error();
      text = await given.text();
      await pause();
    } catch {
      return sv.controls.error("prompt", "This file is too large or cannot be read.");
    }
    const wire = sv.live.wire();
    if (!wire) return sv.controls.error("prompt", "The page is still connecting. Try again in a moment.");
    let answer;
    try { answer = await wire.server.check(text); } catch { answer = { error: "The trace could not be checked: the server did not answer." }; }
    if (answer.error) return sv.controls.error("prompt", answer.error);
    const trace = JSON.parse(text);
    await pause();
    sv.timeline.pause();
    sv.show(trace, "imported", text);
    sv.setTime(Infinity);
    sv.controls.notice(`Imported ${given.name}. Nothing was run.`);
  }

  function verify() {
    const wire = sv.live.wire();
    if (!state.raw || !wire) return;
    sv.controls.notice("Re-running to verify…");
    wire.trigger("verify", { trace: json(), pair: sv.models.made(state.run.trace) });
  }

  function verified(message) {
    sv.controls.notice("");
    if (message.same) sv.controls.notice(message.message);
    else sv.controls.error("prompt", message.message);
  }

  function menu(name, items) {
    const box = el("div", { hidden: true, role: "menu", "aria-label": name });
    const button = el("button.plainbutton", { type: "button", "aria-haspopup": "menu", "aria-expanded": "false" }, name);
    const toggle = (on) => { box.hidden = !on; button.setAttribute("aria-expanded", String(on)); if (on) box.querySelector("button").focus(); };
    button.addEventListener("click", () => toggle(box.hidden));
    items.forEach(([title, words, act]) => box.append(el("button", { type: "button", role: "menuitem", onclick: (event) => { act(event.currentTarget); setTimeout(() => toggle(false), 900); } }, el("span", null, title), el("small", null, words))));
    const holder = el("div.menu", null, button, box);
    document.addEventListener("pointerdown", (event) => { if (!holder.contains(event.target)) toggle(false); });
    holder.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { toggle(false); button.focus(); }
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!step || box.hidden) return;
      event.preventDefault();
      const all = [...box.querySelectorAll("button")];
      all[(all.indexOf(document.activeElement) + step + all.length) % all.length].focus();
    });
    return holder;
  }

  function build() {
    file = el("input", { type: "file", accept: ".json,application/json", class: "sr", tabindex: -1, "aria-label": "Open a trace", id: "sv-file" });
    file.addEventListener("change", () => { if (file.files[0]) open(file.files[0]); file.value = ""; });
    if (sv.offline) return [menu("Export", [["Trace", "The whole run as JSON", saveTrace]])];
    const exported = sv.boot_data().exports.map(({ name, summary }) => [name[0].toUpperCase() + name.slice(1), summary.replace(/\.$/, ""), (button) => saveExport(name, button)]);
    return [
      menu("Share", [["Copy link", "Settings, seed, selection and playhead", copyLink]]),
      menu("Export", [...exported, ["Trace", "The whole run as JSON", saveTrace]]),
      menu("Open", [["Open a trace", "Shows a saved run. Nothing is run", () => file.click()], ["Re-run and verify", "Does the run on display reproduce here?", verify]]), file,
    ];
  }

  sv.share = { build, encode, decode, link, read, matches, restore, verified, open };
})(window);
