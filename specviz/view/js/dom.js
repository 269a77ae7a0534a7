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

  const MARKS = {
    circle: '<circle cx="11" cy="6" r="3.6"/>', square: '<rect x="7.6" y="2.6" width="6.8" height="6.8"/>',
    diamond: '<path d="M11 1.6 15.4 6 11 10.4 6.6 6Z"/>', "triangle-up": '<path d="M11 2 15 9.4H7Z"/>', "triangle-down": '<path d="M11 10 15 2.6H7Z"/>',
    cross: '<path d="M11 2v8M7 6h8"/>', hexagon: '<path d="M9 2.5h4L15 6l-2 3.5H9L7 6Z"/>', none: "",
  };

  // The key of a rule: its stroke and mark as they appear in the plots. Constant markup, no model text.
  function key(rule) {
    const { color, width, dash, symbol } = sv.stroke(rule);
    const [shape, open] = symbol.split("-open");
    const span = el("span.key", { "aria-hidden": "true" });
    const fill = open === undefined ? `var(--${color})` : "var(--sheet)";
    span.innerHTML = `<svg viewBox="0 0 22 12"><path d="M0 6H22" stroke="var(--${color})" stroke-width="${width}" stroke-dasharray="${dash}"/><g fill="${fill}" stroke="var(--${color})" stroke-width="1.3">${MARKS[shape] || ""}</g></svg>`;
    return span;
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

  // A text whose lines are lines: the mark of a new line stands before it. Blanks behind one are indentation.
  const lined = (text) => text.split("\n").map(visible).join("⏎\n");

  // One token: its leading space stays outside the mark, what cannot be seen is made visible, direction is isolated. One that
  // is no text is its name on a label, and one whose bytes belong to a character that stands further on is a small mark.
  function tokenNode(token, end) {
    const node = el("span.t", { role: "option", "data-k": token.key });
    node.classList.add(token.fate);
    if (token.cut) node.classList.add("cut");
    if (token.code) node.classList.add("code");
    if (token.special || end) {
      node.classList.add("end");
      node.append(el("bdi", null, token.special ? visible(token.text) : "end"));
      return node;
    }
    if (token.shown === "" && token.text !== "") {
      node.classList.add("part");
      node.setAttribute("aria-label", `${named(token.text)}, part of a character, ${token.fate}`);
      node.append(el("bdi", null, "·"));
      return node;
    }
    const text = token.shown;
    const empty = text.trim() === "";
    const spaces = /\S/.test(text) ? /^ */.exec(text)[0] : "";
    let body = text.slice(spaces.length);
    if (empty) {
      node.classList.add("blank");
      node.setAttribute("aria-label", `${named(body)}, ${token.fate}`);
      if (/^ *$/.test(body) && token.fate !== "accepted" && token.fate !== "plain") body = body ? "␣".repeat(body.length) : "∅";
    }
    if (spaces) node.append(spaces);
    const lines = !token.cut && body.includes("\n") && !(token.key === 0 && empty);
    node.append(el("bdi", null, lines ? lined(body) : visible(body)));
    return node;
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

  // Lets the page do something else between two halves of long work.
  const pause = () => new Promise((go) => setTimeout(go));

  function css(name) {
    return getComputedStyle(document.querySelector(".sv") || document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  // The colours of the theme by name; asked of the browser once a theme, because asking makes it lay the page out.
  const INKS = ["ink", "ink2", "ink3", "mute", "blue", "amber", "amber-ink", "amber-bg", "red", "line", "line2", "grid", "sheet", "ground", "sans"];
  let known = {};
  function inks() {
    const { theme } = document.documentElement.dataset;
    if (known.theme !== theme) known = { theme, ...Object.fromEntries(INKS.map((name) => [name, css(name)])) };
    return known;
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

  sv.dom = { el, set, key, tokenNode, visible, lined, named, percent, fixed, prob, nats, seconds, count, framed, pause, css, inks, calm, download };
})(window);
