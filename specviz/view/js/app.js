// Puts the page together, shows the first recorded run, and hands over to Python once Gradio is there.
(function (root) {
  "use strict";
  const sv = root.specviz;
  const { el, set, calm } = sv.dom;
  const { state } = sv;
  const fetched = {};
  let themeButton;

  // The recorded run of an example, or null; fetched once.
  function recorded(example) {
    const url = example?.recorded;
    if (!url) return null;
    fetched[url] = fetched[url] || fetch(url).then((answer) => { if (!answer.ok) throw new Error(String(answer.status)); return answer.text(); });
    return fetched[url];
  }

  const firstExample = () => sv.boot_data().prompts.find((one) => one.recorded) ?? null;

  // Nothing a visitor sees first needs Gradio: the page opens as soon as there is a body, and moves in once it is mounted.
  function early() {
    theme(stored("specviz-theme"));
    recorded(firstExample())?.catch(() => {});
    const open = () => {
      if (!document.body) return requestAnimationFrame(open);
      document.body.prepend(early.host = el("div"));
      start(early.host);
    };
    open();
  }

  function stored(name) {
    try { return localStorage.getItem(name); } catch { return null; }
  }

  function theme(wanted) {
    const dark = wanted ? wanted === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    document.body?.classList.toggle("dark", dark); // for what Gradio shows by itself
    if (themeButton) set(themeButton, dark ? "Light" : "Dark");
    sv.emit("theme");
  }

  function toggleTheme() {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("specviz-theme", next); } catch { /* a private window: this visit only */ }
    theme(next);
  }

  async function choose(example) {
    if (state.live) return;
    sv.controls.clearErrors();
    const found = recorded(example);
    if (!found) {
      sv.models.take(example.pair);
      const { text: prompt, system = null, sampling = {}, draft_length = state.form.draft_length, max_new_tokens = state.form.max_new_tokens } = example;
      Object.assign(state.form, { prompt, system, ...sampling, draft_length, max_new_tokens, style: sv.models.style(example.style) });
      sv.controls.fill();
      sv.controls.notice("Not recorded: press Run to see it.");
      return;
    }
    try {
      display(await found, true);
      sv.controls.notice("");
    } catch {
      sv.controls.error("prompt", "The recorded run could not be fetched. Press Run to make it again.");
    }
  }

  // A recorded run, with a token worth looking at already selected.
  function display(text, autoplay, columns) {
    sv.timeline.pause();
    sv.show(typeof text === "string" ? JSON.parse(text) : text, "recorded", typeof text === "string" ? text : JSON.stringify(text), columns);
    const lossy = sv.shown().filter(({ lane }) => !lane.lossless);
    const focus = lossy[lossy.length - 1] || sv.shown().find(({ lane }) => lane.rule !== "plain");
    if (focus) {
      const [, found] = sv.inspector.worth(focus.lane);
      state.front = focus.index;
      sv.emit("columns");
      if (found[0]) sv.pick(focus.lane.index, found[0].key);
    }
    if (autoplay && !calm()) sv.timeline.play(0);
    else sv.setTime(Infinity);
  }

  const mark = (fate, words) => el(`span.t.${fate}`, null, el("bdi", null, words));

  function page() {
    themeButton = el("button.plainbutton", { type: "button", onclick: toggleTheme, "aria-label": "Switch between light and dark" }, "Dark");
    const hide = el("input", { type: "checkbox", role: "switch", "aria-label": "Hide cut tokens" });
    const race = el("input", { type: "checkbox", role: "switch", "aria-label": "Time plain decoding too" });
    race.checked = state.withPlain;
    race.addEventListener("change", () => { state.withPlain = race.checked; });
    const box = el("div.sheet.lanes");
    const [upper, lower] = sv.plots.build();
    const ask = sv.controls.build();
    const tabs = el("div.lanetabs", { role: "tablist", "aria-label": "Lanes" });
    const add = el("button.plainbutton", { type: "button", onclick: () => sv.controls.addLane() }, "+ Add a lane");
    hide.addEventListener("change", () => { state.hideCut = hide.checked; box.classList.toggle("hidecut", hide.checked); });
    sv.on("run columns", () => { add.hidden = state.columns.length >= sv.controls.MAX_LANES || sv.offline; });
    const models = sv.models.build();
    const versions = el("span");
    sv.on("run", () => set(versions, sv.models.foot(state.run.trace)));
    const node = el("div.sv", null,
      el("header.top", null, el("h1.brand", { "aria-label": "specviz" }, "spec", el("i", null, "viz")), el("span.strap", null, "Acceptance rules in speculative decoding, seen token by token"),
        el("div.actions", null, sv.share.build(), themeButton)),
      el(sv.offline ? "main.page" : "div.page", null, // Gradio brings a main element of its own
        el("p.opening", null, "A small model drafts, a big one checks. Most of the draft is ", mark("accepted", "kept"), ". Some of it is ", mark("relaxed", "kept on budget"),
          ": a strict check would have refused it. The first ", mark("rejected", "refused"), " token is ", mark("resampled", "rewritten"), " and the draft behind it ", mark("discarded", "goes unread"), ". A clean round earns one ", mark("bonus", "extra"), "."),
        ask,
        el("div.main", null,
          el("div.left", null, el("div.lanetools", null, models, el("div", null, add,
            sv.offline ? null : el("label.switch", { title: "Runs the verifier alone beside the lanes, to measure the speed-up against." }, race, "Time plain decoding too"), el("label.switch", null, hide, "Hide cut tokens"))), sv.fork.build(), tabs, box, sv.timeline.build(), upper),
          sv.inspector.build()),
        lower, sv.offline ? null : sv.advisor.build(),
        el("footer.colophon", null, versions, el("span", null, "Same seed, same draws in every lane: they differ only where the rules do."))));
    sv.lanes.mount(box, tabs);
    sv.sections.mount(node);
    sv.playground.mount();
    if (!sv.offline) sv.sweep.mount();
    sv.sections.start();
    return node;
  }

  async function start(host) {
    host.replaceChildren(page());
    theme(stored("specviz-theme"));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (!stored("specviz-theme")) theme(null); });
    let wanted = null;
    try { wanted = sv.offline ? null : sv.share.read(location.hash); } catch (error) { sv.controls.error("prompt", error.message); }
    if (sv.offline) return display(sv.offline, true);
    const example = sv.boot_data().prompts.find((one) => wanted && one.recorded && one.text === wanted.form.prompt) ?? firstExample();
    if (!state.columns.length) {
      state.columns = ["sps", "tas", "cactus"].filter((rule) => sv.boot_data().rules[rule]).map((rule) => ({ rule, knobs: sv.defaults(rule), from: null }));
      sv.emit("columns");
      sv.controls.fill();
    }
    try {
      const text = await recorded(example);
      if (text && wanted && sv.share.matches(JSON.parse(text), wanted)) { display(text, wanted.at === null && !wanted.pick, wanted.columns); return sv.share.restore(wanted); }
      if (text && !wanted) display(text, true);
    } catch { /* without a recorded run the page waits for Run */ }
    if (!wanted) return;
    Object.assign(state.form, wanted.form);
    state.columns = wanted.columns;
    sv.emit("columns");
    sv.controls.fill();
    const again = () => {
      if (restoreOnce) { restoreOnce = false; sv.share.restore(wanted); }
    };
    let restoreOnce = true;
    sv.on("ended", again);
    const run = () => sv.controls.run(wanted.continued ? { continued: wanted.continued } : {});
    if (sv.live.wire()) run();
    else sv.on("connected", run);
  }

  // Called by the component when Gradio has mounted it.
  function attach(element, wire) {
    const host = element.querySelector(".sv-host");
    const active = document.activeElement;
    if (host.moveBefore) host.moveBefore(early.host, null); // keeps focus and scrolling
    else { host.append(early.host); active?.focus({ preventScroll: true }); }
    sv.live.connect(wire);
  }

  sv.examples = { choose };
  sv.app = { early, attach, start };
})(window);
