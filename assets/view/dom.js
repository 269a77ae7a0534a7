// Small helpers for building the page. Text from models only ever enters through `text` and `visible`.
(function (root) {
  "use strict";
  const sv = (root.specviz = root.specviz || {});

  // el("button.quiet", {type: "button", onclick: f}, "text", child): attributes by name, handlers as functions
  function el(spec, attributes, ...children) {
    const [tag, ...classes] = spec.split(".");
    const node = document.createElement(tag || "div");
    if (classes.length) node.className = classes.join(" ");
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (name === "value") node.value = value;
      else node.setAttribute(name, value === true ? "" : String(value));
    }
    for (const child of children.flat(Infinity)) if (child !== null && child !== undefined) node.append(child);
    return node;
  }

  function set(node, text) {
    if (node.textContent !== text) node.textContent = text;
  }

  const BIDI = /[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/;

  // A token's text with what cannot be seen made visible: ␀ for NUL, ⏎ for a new line, ⟨202E⟩ for a direction mark.
  function visible(text) {
    let out = "";
    for (const char of text) {
      const code = char.codePointAt(0);
      if (char === "\n") out += "⏎";
      else if (char === "\t") out += "⇥";
      else if (code < 32) out += String.fromCodePoint(0x2400 + code);
      else if (code === 127) out += "␡";
      else if ((code > 127 && code < 160) || BIDI.test(char) || (code >= 0xd800 && code <= 0xdfff)) out += `⟨${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
      else out += char;
    }
    return out;
  }

  // For tables and cards: a leading space shows as an open box.
  function named(text) {
    if (text === "") return "∅";
    return visible(text).replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length));
  }

  function percent(value, digits = null) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    const scaled = value * 100;
    if (scaled === 0) return "0";
    if (digits !== null) return scaled.toFixed(digits);
    if (scaled >= 99.95) return "100";
    if (scaled >= 10) return scaled.toFixed(0);
    if (scaled >= 1) return scaled.toFixed(1);
    if (scaled >= 0.001) return scaled.toPrecision(1);
    return "≈0";
  }

  function fixed(value, digits = 2) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    return Number.isFinite(value) ? value.toFixed(digits) : "∞";
  }

  // A probability, not rounded to zero.
  function prob(value) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    return value > 0 && value < 0.005 ? (value < 0.0005 ? "≈0" : value.toFixed(3)) : value.toFixed(2);
  }

  // Divergences: enough digits to tell 0.0002 from 0.
  function nats(value) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (!Number.isFinite(value)) return "∞";
    if (Math.abs(value) < 5e-6) return "0";
    if (value < 0.0001) return value.toExponential(0).replace("e-", "e−");
    if (value < 0.01) return value.toFixed(4);
    return value.toFixed(3);
  }

  function seconds(value) {
    if (value < 1) return [`${(value * 1000).toFixed(value < 0.1 ? 1 : 0)}`, "ms"];
    return [value.toFixed(value < 10 ? 2 : 1), "s"];
  }

  function count(value) {
    return value >= 1e9 ? `${(value / 1e9).toFixed(1)} B` : value >= 1e5 ? `${(value / 1e6).toFixed(1)} M` : String(value);
  }

  // Runs `draw` once in the next frame however often it is asked for.
  function framed(draw) {
    let asked = 0;
    return () => {
      if (asked) return;
      asked = requestAnimationFrame(() => { asked = 0; draw(); });
    };
  }

  function css(name) {
    return getComputedStyle(document.querySelector(".sv") || document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  const calm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

  function download(name, content, type) {
    const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
    const link = el("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 2000);
  }

  sv.dom = { el, set, visible, named, percent, fixed, prob, nats, seconds, count, framed, css, calm, download };
})(window);
