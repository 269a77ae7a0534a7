// The knobs of a rule or a drafter as controls: a slider for the first, a number or a choice of words for each.
import { el } from "specviz/core/dom.js";
import { symbol } from "specviz/core/formats.js";

/** @param {number | string} value */
export function show(value) {
  return typeof value === "number" ? String(+value.toPrecision(6)) : String(value);
}

// Slider positions for a knob: 0..1000 over its useful range, by its own scale.
/** @param {Knob} knob */
function scale(knob) {
  const low = knob.low ?? 0;
  const high = Math.min(knob.high ?? 10, knob.type === "int" ? 50 : 10);
  if (knob.scale === "log") {
    const floor = low > 0 ? low : high / 1e4;
    return {
      /** @param {number} value */
      to: (value) => (value <= floor ? 0 : Math.round((1000 * Math.log(value / floor)) / Math.log(high / floor))),
      /** @param {number} at */
      from: (at) => (at <= 0 ? (knob.open_low ? floor : low) : +(floor * (high / floor) ** (at / 1000)).toPrecision(2)),
    };
  }
  const step = knob.type === "int" ? 1 : (high - low) / 200;
  return {
    /** @param {number} value */
    to: (value) => Math.round((1000 * (value - low)) / (high - low)),
    /** @param {number} at */
    from: (at) => {
      const value = low + Math.round(((at / 1000) * (high - low)) / step) * step;
      return +(knob.open_low && value <= low ? low + step : value).toPrecision(6);
    },
  };
}

// A label with its controls for every knob of `of`; a change is put into `values`, and `changed` is told.
/**
 * @param {string} of
 * @param {Knob[]} knobs
 * @param {Knobs} values
 * @param {() => void} changed
 */
export function inputs(of, knobs, values, changed) {
  return knobs.map((knob, at) => {
    const name = `${of} ${knob.name}`;
    const title = `${knob.name}: ${knob.help}${knob.unit ? ` (${knob.unit})` : ""}`;
    /** @param {number | string} value */
    const change = (value) => {
      values[knob.name] = value;
      changed();
    };
    if (knob.choices) {
      const pick = el(
        "select",
        { "aria-label": name, onchange: (e) => change(e.currentTarget.value) },
        knob.choices.map((word) => el("option", { value: word }, word.replaceAll("_", " "))),
      );
      pick.value = values[knob.name];
      const long = knob.choices.some((word) => word.length > 9);
      return el(
        long ? "label.knob.choice.long" : "label.knob.choice",
        { title },
        el("i", null, symbol(knob.name)),
        pick,
      );
    }
    const text = el("input", {
      type: "text",
      inputmode: knob.form ? "text" : "decimal",
      "aria-label": name,
      value: show(values[knob.name]),
      autocomplete: "off",
    });
    const range =
      at === 0 && !knob.form
        ? slider(name, knob, values, (value) => {
            text.value = show(value);
            change(value);
          })
        : null;
    text.addEventListener("change", () => {
      const value = text.value.trim() === "" || Number.isNaN(Number(text.value)) ? text.value : Number(text.value);
      change(value);
      if (range) range.value = String(scale(knob).to(Number(value) || 0));
    });
    const looks = range ? "label.knob.main" : knob.form ? "label.knob.form" : "label.knob";
    return el(looks, { title }, el("i", null, symbol(knob.name)), range, text);
  });
}

/**
 * @param {string} name
 * @param {Knob} knob
 * @param {Knobs} values
 * @param {(value: number) => void} moved
 */
function slider(name, knob, values, moved) {
  const { to, from } = scale(knob);
  const range = el("input", { type: "range", min: 0, max: 1000, step: 1, "aria-label": `${name}, slider`, value: 0 });
  range.value = String(to(values[knob.name]));
  range.setAttribute("aria-valuetext", show(values[knob.name]));
  range.addEventListener("input", () => {
    const value = from(Number(range.value));
    range.setAttribute("aria-valuetext", show(value));
    moved(value);
  });
  range.addEventListener("keydown", (event) => event.stopPropagation());
  return range;
}
