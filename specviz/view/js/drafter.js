// Who proposes the tokens: a choice among the drafters that are known, with the knobs of the chosen one.
// A drafter is {name, knobs}; null stands for a run whose lanes have drafters of their own.
(function (root) {
  "use strict";
  const sv = root.specviz;
  const { el, set } = sv.dom;
  const { state } = sv;
  const parts = {};
  const OWN = ""; // the choice that leaves each lane its own

  const known = () => sv.boot_data().drafters || {};
  const words = (name) => (Object.hasOwn(known(), name) ? known()[name] : { summary: "", source: "", knobs: [] });
  const copy = (drafter) => drafter && { name: drafter.name, knobs: { ...drafter.knobs } };
  const usual = (drafter) => drafter.name === sv.store.drafter().name;

  // "ngram, longest 3"
  function label({ name, knobs }) {
    return [name, ...Object.entries(knobs).map(([knob, value]) => `${knob} ${sv.store.number(value)}`)].join(", ");
  }

  // The drafter with every knob, those that are not given at their defaults.
  function complete({ name, knobs }) {
    const all = words(name).knobs.map((knob) => [knob.name, knobs[knob.name] ?? knob.default]);
    return { name, knobs: Object.fromEntries(all) };
  }

  const same = (one, other) => label(complete(one)) === label(complete(other));

  // The drafter of all these lanes; null if they have several, `otherwise` if none of them drafts.
  function common(lanes, otherwise) {
    const [first, ...rest] = lanes.map((lane) => lane.drafter).filter(Boolean);
    if (!first) return otherwise;
    return rest.every((one) => same(one, first)) ? copy(first) : null;
  }

  // What of a link is a drafter; null if it is none. Throws if it is not known here.
  function readable(value) {
    if (!value || typeof value.name !== "string") return null;
    if (!Object.hasOwn(known(), value.name)) throw new Error("This link names a drafter that does not exist here, so its settings were ignored.");
    const given = Object.entries(value.knobs || {}).filter(([, one]) => ["number", "string"].includes(typeof one));
    return complete({ name: value.name, knobs: Object.fromEntries(given) });
  }

  function choose(name) {
    state.form.drafter = name === OWN ? null : complete({ name, knobs: {} });
    changed();
    draw();
  }

  function changed() {
    sv.controls.error("drafter", "");
    sv.emit("settings");
  }

  function draw() {
    const { drafter } = state.form;
    const several = state.columns.some((column) => column.drafter) && common(state.columns, null) === null;
    const names = Object.keys(known());
    if (drafter && !names.includes(drafter.name)) names.push(drafter.name);
    parts.select.replaceChildren(...(several || !drafter ? [el("option", { value: OWN }, "each its own")] : []),
      ...names.map((name) => el("option", { value: name, title: words(name).summary }, name)));
    parts.select.value = drafter ? drafter.name : OWN;
    parts.select.title = drafter ? words(drafter.name).summary : "Every lane keeps the drafter it ran with.";
    const inputs = drafter ? sv.knobs.inputs(drafter.name, words(drafter.name).knobs, drafter.knobs, changed) : [];
    parts.knobs.replaceChildren(...inputs);
    const { summary, source } = words(drafter?.name);
    set(parts.about, drafter && !usual(drafter) ? [summary, source && `${source}.`].filter(Boolean).join(" ") : "");
    if (sv.offline) lock();
  }

  // A replay shows what was set, and sets nothing.
  function lock() {
    parts.box.querySelectorAll("select, input").forEach((control) => { control.disabled = true; });
  }

  function build() {
    parts.select = el("select", { "aria-label": "Drafter", "data-field": "drafter", onchange: () => choose(parts.select.value) });
    parts.knobs = el("span.drafterknobs");
    parts.box = el("span.drafter", null, el("label.field", { title: "Who proposes the tokens that the verifier checks." }, "Drafter", parts.select), parts.knobs);
    parts.about = el("p.caption");
    parts.error = el("p.error", { role: "alert", "data-error": "drafter" });
    return { box: parts.box, select: parts.select, said: [parts.error, parts.about] };
  }

  sv.drafter = { build, draw, common, readable, same, copy, label, usual, words };
})(window);
