// What a visitor can set: prompt, sampling, drafter, lanes and their knobs. Nothing here touches a model.
(function (root) {
  "use strict";
  const sv = root.specviz;
  const { el, set } = sv.dom;
  const { state } = sv;
  const parts = { fields: {} };
  const MAX_LANES = 4;

  const FIELDS = [
    ["temperature", "Temperature"], ["top_k", "Top-k"], ["top_p", "Top-p"], ["draft_length", "Draft length"], ["max_new_tokens", "Tokens"], ["seed", "Seed"],
  ];

  const { show } = sv.knobs;

  function knobs(column, index) {
    const known = sv.boot_data().rules[column.rule]?.knobs || [];
    const change = () => {
      error(`lane${index}`, "");
      sv.emit("whatif", index);
      sv.emit("settings");
    };
    const box = el("div.knobs", { "data-knobs": index }, sv.knobs.inputs(column.rule, known, column.knobs, change));
    if (!known.length) box.append(el("span.caption", null, "No knob."));
    return box;
  }

  function setRule(index, rule) {
    const column = state.columns[index];
    column.rule = rule;
    column.knobs = sv.defaults(rule);
    const lane = sv.laneOf(column);
    if (lane) column.knobs = { ...lane.knobs };
    sv.emit("columns");
    document.querySelectorAll(".sv .lanehead select")[index]?.focus();
  }

  function resetKnobs(index) {
    const column = state.columns[index];
    const lane = sv.laneOf(column);
    if (lane) column.knobs = { ...lane.knobs };
    sv.emit("columns");
  }

  function removeLane(index) {
    if (state.columns.length < 2) return;
    state.columns.splice(index, 1);
    sv.emit("columns");
  }

  function addLane() {
    if (state.columns.length >= MAX_LANES) return;
    const used = state.columns.map((column) => column.rule);
    const rule = ["plain", "cactus", "sps", "tas", "lenience", "interpolation"].find((name) => sv.boot_data().rules[name] && !used.includes(name)) || "cactus";
    const from = state.run ? state.run.lanes.findIndex((lane) => lane.rule === rule) : -1;
    const lane = from >= 0 ? state.run.lanes[from] : null;
    state.columns.push({ rule, knobs: lane ? { ...lane.knobs } : sv.defaults(rule), drafter: lane?.drafter, from: lane ? from : null });
    sv.emit("columns");
    document.querySelectorAll(".sv .lanehead select")[state.columns.length - 1]?.focus();
  }

  // A sentence beside the control it belongs to, or else beside the prompt; an empty one takes it away.
  function error(field, sentence) {
    const control = document.querySelector(`.sv [data-field="${field}"]`);
    const place = document.querySelector(`.sv [data-error="${field}"]`) || (control ? parts.settingsError : parts.error);
    set(place, sentence);
    if (control) {
      control.closest(".field").classList.toggle("bad", Boolean(sentence));
      control.setAttribute("aria-invalid", Boolean(sentence));
    }
    if (sentence && field === "prompt") parts.prompt.setAttribute("aria-invalid", "true");
  }

  function clearErrors() {
    document.querySelectorAll(".sv [data-error]").forEach((node) => set(node, ""));
    document.querySelectorAll(".sv .field.bad").forEach((node) => node.classList.remove("bad"));
    document.querySelectorAll(".sv [aria-invalid]").forEach((node) => node.removeAttribute("aria-invalid"));
    set(parts.settingsError, "");
  }

  // What goes to Python; numbers that are no numbers go as they were typed, and come back as a sentence.
  function settings() {
    const form = { pair: state.form.pair, prompt: parts.prompt.value, ...sv.chat.settings() };
    FIELDS.forEach(([name]) => {
      const given = parts.fields[name].value.trim();
      form[name] = given !== "" && Number.isFinite(Number(given)) ? Number(given) : given;
    });
    const { drafter } = state.form;
    const lanes = state.columns.map((column) => ({
      rule: column.rule === "plain" ? null : column.rule, knobs: column.knobs, ...(drafter || !column.drafter ? {} : { drafter: column.drafter }),
    }));
    return { ...form, drafter, lanes };
  }

  // The same with a plain lane behind the others, to measure the speed-up against.
  function request() {
    const wanted = settings();
    const plain = wanted.lanes.some((lane) => lane.rule === null);
    return { ...wanted, lanes: state.withPlain && !plain ? [...wanted.lanes, { rule: null, knobs: {} }] : wanted.lanes };
  }

  // `more` overrides the form, to go on from a place in an earlier run.
  function run(more = {}) {
    if (sv.live) sv.live.start({ ...request(), ...more });
  }

  // The form as the state says it.
  function fill() {
    const { form } = state;
    parts.prompt.value = form.prompt;
    grow();
    FIELDS.forEach(([name]) => { parts.fields[name].value = show(form[name]); });
    sv.chat.draw();
    sv.drafter.draw();
    examples();
    sv.emit("form");
  }

  // A setting put into its field by the page.
  function put(name, value) {
    state.form[name] = value;
    parts.fields[name].value = show(value);
    error(name, "");
  }

  function grow() {
    const area = parts.prompt;
    area.style.height = "0";
    area.style.height = `${Math.min(230, Math.max(46, area.scrollHeight))}px`;
  }

  function examples() {
    const current = state.form.prompt;
    parts.examples.querySelectorAll("button").forEach((button) => button.setAttribute("aria-pressed", button.dataset.text === current));
    const chosen = current && sv.boot_data().prompts.find((one) => one.text === current);
    set(parts.why, chosen ? [chosen.why, chosen.expected ? `Expected answer: ${chosen.expected}.` : ""].filter(Boolean).join(" ") : "");
  }

  // "Answer 21, as expected", for prompts whose answer is known.
  function answer(text) {
    const chosen = state.run && sv.boot_data().prompts.find((one) => one.text === state.run.trace.prompt);
    if (!chosen || !chosen.expected) return "";
    const said = /answer is:?\s+(.+?)\s*\.?\s*(<|$)/is.exec(sv.fork.givenText() + text);
    const given = (said ? said[1] : "").trim();
    if (!given) return "";
    const same = given.replace(/\s+/g, " ").toLowerCase() === String(chosen.expected).trim().replace(/\s+/g, " ").toLowerCase();
    return `Answer ${given.slice(0, 40)}, ${same ? "as expected" : `not ${chosen.expected}`}`;
  }

  function build() {
    const boot = sv.boot_data();
    parts.prompt = el("textarea", { rows: 1, id: "sv-prompt", "aria-label": "Prompt", placeholder: "Write a prompt, or choose an example below", spellcheck: "false", dir: "auto" });
    parts.prompt.addEventListener("input", () => { grow(); state.form.prompt = parts.prompt.value; examples(); error("prompt", ""); });
    parts.run = el("button.run", { type: "button", onclick: () => (state.live ? sv.live.stop() : run()) }, el("span", null, "Run"), el("kbd", { "aria-hidden": "true" }, "Ctrl ↵"));
    parts.error = el("p.error", { role: "alert", "data-error": "prompt" });
    parts.notice = el("p.notice", { role: "status", "aria-live": "polite" });
    parts.examples = el("div.examples", { role: "group", "aria-label": "Example prompts" }, boot.prompts.map((one, i) => [
      one.pair !== boot.prompts[0].pair && one.pair !== boot.prompts[i - 1].pair ? el("span.caption", null, `${boot.pairs.find((pair) => pair.name === one.pair).title}:`) : null,
      el("button", { type: "button", "data-text": one.text, title: one.why || "", onclick: () => sv.examples.choose(one) }, one.name)]));
    parts.why = el("p.caption.why");
    const chat = sv.chat.build();
    const drafter = sv.drafter.build();
    parts.settings = el("details.settingsbox", { open: !matchMedia("(max-width: 720px)").matches }, el("summary", null, "Settings"), el("div.settings", null,
      FIELDS.flatMap(([name, label]) => {
        const help = (boot.settings || []).find((knob) => knob.name === name)?.help;
        parts.fields[name] = el("input", { type: "text", inputmode: "decimal", "aria-label": label, class: name === "seed" ? "wide" : null, autocomplete: "off", "data-field": name });
        parts.fields[name].addEventListener("input", () => { error(name, ""); });
        const field = el("label.field", { title: help }, label, parts.fields[name]);
        return name === "draft_length" ? [drafter.box, field] : field;
      }), chat.style));
    parts.settingsError = el("p.error", { role: "alert" });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !state.live && !sv.offline) { event.preventDefault(); run(); }
    });
    sv.on("run", fill);
    if (sv.offline) { // a replay shows what was set, and sets nothing
      parts.prompt.readOnly = true;
      Object.values(parts.fields).forEach((field) => { field.readOnly = true; });
    }
    return el("form.ask", { onsubmit: (e) => { e.preventDefault(); } },
      el("div.promptbox", null, parts.prompt, sv.offline ? null : parts.run), parts.error, parts.notice,
      el("div.underprompt", null, parts.examples, parts.settings), parts.settingsError, drafter.said, chat.system, parts.why);
  }

  function running(on, words = "") {
    parts.run.firstChild.textContent = on ? "Stop" : "Run";
    parts.run.lastChild.textContent = on ? "" : "Ctrl ↵";
    parts.run.setAttribute("aria-label", on ? "Stop the run" : "Run");
    set(parts.notice, words);
  }

  sv.controls = {
    build, fill, knobs, setRule, resetKnobs, removeLane, addLane, settings, put, run, running, error, clearErrors, answer, MAX_LANES,
    notice: (words) => set(parts.notice, words), 
  };
})(window);
