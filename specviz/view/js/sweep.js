// What a knob costs in right answers: a sweep over rules, knob values and questions, run by the server. Until one has run
// here, a recorded one is on display.
(function (root) {
  "use strict";
  const sv = root.specviz;
  const { el, set } = sv.dom;
  const parts = {};
  const SILENCE = 60_000;
  let shown = null; // the message on display
  let current = null; // {id, stopped, begun} while one runs
  let silence = 0;
  let open = false;
  let fetched = false;

  function say(words, error = "") {
    set(parts.status, words);
    set(parts.error, error);
  }

  const spell = (seconds) => (seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`);

  function progress({ done, total, seconds, left }, ended) {
    const share = total ? done / total : 0;
    parts.fill.style.transform = `scaleX(${share})`;
    parts.bar.setAttribute("aria-valuenow", String(Math.round(100 * share)));
    const rest = ended ? "" : left === null ? "" : `, about ${spell(left)} left`;
    set(parts.count, `${done.toLocaleString("en-US")} of ${total.toLocaleString("en-US")} texts${seconds === undefined ? "" : `, ${spell(seconds)}`}${rest}`);
  }

  function display(message, source) {
    const before = shown;
    shown = message;
    parts.results.hidden = false;
    if (before && before.rows.length === message.rows.length && before.points.length === message.points.length && before.ended === message.ended && source === parts.source) return;
    parts.source = source;
    sv.sweepTable.show(message, source);
    if (open) sv.sweepPlots.show(message);
  }

  async function recorded() {
    const { recorded: url } = sv.boot_data().sweep;
    if (fetched || !url) return;
    fetched = true;
    try {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(String(answer.status));
      const message = await answer.json();
      if (shown) return; // one of its own has come first
      display(message, "recorded");
    } catch { /* without it the page waits for Run */ }
  }

  function run() {
    if (current) return stop();
    const wire = sv.live.wire();
    sv.sweepForm.faultless();
    if (!wire) return say("", "The page is still connecting. Try again in a moment.");
    current = { id: Math.random().toString(36).slice(2), stopped: false };
    running(true);
    say("Starting…");
    heard();
    wire.trigger("sweep", { id: current.id, settings: JSON.stringify(sv.sweepForm.asked()) });
  }

  function stop() {
    if (!current || current.stopped) return;
    current.stopped = true;
    sv.live.wire().trigger("stop", { id: current.id });
    say("Stopping…");
  }

  function running(on) {
    set(parts.run, on ? "Stop" : "Run sweep");
    parts.page.setAttribute("aria-busy", String(on));
  }

  // A server that has gone away says nothing; after SILENCE the page says it.
  function heard() {
    clearTimeout(silence);
    silence = setTimeout(() => { if (current) finish("", "The server has not answered for a minute, so this sweep was given up. What arrived stays."); }, SILENCE);
  }

  function finish(words = "", error = "") {
    clearTimeout(silence);
    current = null;
    running(false);
    say(words, error);
    if (shown && !shown.ended && parts.source === "measured") display({ ...shown, ended: true }, "measured");
  }

  function receive(message) {
    heard();
    if (message.kind === "wait") return say(message.message);
    if (message.kind === "error") {
      finish();
      if (!sv.sweepForm.fault(message.field, message.message)) say("", message.message);
      return;
    }
    progress(message, message.ended);
    if (!current.stopped) say("");
    display(message, "measured");
    if (message.ended) finish(message.message);
  }

  function unpack(text) {
    say("");
    if (!text) return;
    try { sv.sweepForm.fill(sv.share.decode(text)); } catch { say("", "This link is damaged, so its settings were ignored."); }
  }

  function mount() {
    parts.run = el("button.run", { type: "button", onclick: run }, "Run sweep");
    parts.fill = el("i");
    parts.bar = el("div.sweepbar", { role: "progressbar", "aria-label": "Texts decoded", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": 0 }, parts.fill);
    parts.count = el("span.num");
    parts.status = el("p.notice", { role: "status", "aria-live": "polite" });
    parts.error = el("p.error", { role: "alert" });
    const form = sv.sweepForm.build();
    parts.results = el("div.sweepresults", { hidden: true }, sv.sweepPlots.build(), sv.sweepTable.build());
    parts.page = sv.sections.page(".sweep", "Sweep",
      el("div.intro", null, el("h2", null, "What a knob costs in right answers"),
        el("p.opening", null, sv.boot_data().sweep.pair ? `On the pair “${sv.boot_data().sweep.pair}”, whichever is chosen for runs: its questions have answers. ` : "", "Questions with one right answer, decoded under every rule at every setting with the same seeds. Further right, more of the draft was kept; further down, fewer answers were right.")),
      form,
      el("div.sweeprun", null, parts.run, parts.bar, el("div.sweepsaid", null, parts.count, sv.sweepForm.sum(), parts.status, parts.error)), parts.results);
    parts.page.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !current) { event.preventDefault(); run(); } });
    sv.sweepForm.fill({});
    sv.on("sweepform", () => { if (open) sv.sections.remember(); });
    sv.sections.add({
      words: "Sweep", key: "sweep", page: parts.page, pack: () => sv.share.encode(sv.sweepForm.asked()), unpack,
      opened: () => { open = true; recorded(); if (shown) sv.sweepPlots.show(shown); }, closed: () => { open = false; },
    });
  }

  sv.sweep = { mount, receive, owns: (id) => current !== null && current.id === id };
})(window);
