// The frame of the plots: they read the run on display, follow the playhead and keep the reader's zoom. Plotly is
// fetched only when they come near the screen. Each plot is a file of its own in plots/, and adds itself:
//   specviz.plots.add({title, place, draw(ink, mode) -> {subtitle, kind?, data, layout} or null, modes?, served?})
// `served(redraw)` is for a plot that asks the server: it gives what stands above the plot, which stays empty until
// `draw` has something. Without a server there is no such plot.
(function (root) {
  "use strict";
  const sv = root.specviz;
  const { el, set, inks } = sv.dom;
  const { state } = sv;
  const kinds = [];
  const cards = [];
  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: "reset" };
  const LONG = 50; // ms: a drawing that takes longer is felt
  let loading = null;

  // Told to compile the whole of it as it comes in, beside the page, the browser holds the page up a sixth as long.
  const EAGER = "//# allFunctionsCalledOnLoad\n";

  async function fetched() {
    const answer = await fetch(sv.boot_data().plotly);
    if (!answer.ok) throw new Error(String(answer.status));
    const src = URL.createObjectURL(new Blob([EAGER, await answer.blob()], { type: "text/javascript" }));
    await new Promise((resolve, reject) => document.head.append(el("script", { src, async: true, onload: resolve, onerror: reject })));
    URL.revokeObjectURL(src);
  }

  function load() {
    if (root.Plotly) return Promise.resolve();
    return (loading = loading || (sv.plotly || fetched)());
  }

  function layout(ink, extra = {}) {
    const axis = { color: ink.ink3, tickfont: { size: 11, color: ink.ink3 }, gridcolor: ink.grid, gridwidth: 1, zeroline: false, ticks: "", fixedrange: false, automargin: false };
    const { xaxis, yaxis, ...rest } = extra;
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", height: 250, margin: { l: 40, r: 78, t: 26, b: 30 }, showlegend: false, hovermode: "closest",
      font: { family: ink.sans, size: 11, color: ink.ink3 }, uirevision: "keep", dragmode: "zoom", hoverlabel: { bgcolor: ink.sheet, bordercolor: ink.line2, font: { family: ink.sans, size: 12, color: ink.ink } },
      xaxis: { ...axis, showgrid: false, showline: true, linecolor: ink.line2, ...xaxis }, yaxis: { ...axis, ...yaxis }, ...rest,
    };
  }

  // A name at the end of an axis, or of a line.
  function note(text, x, y, color, more = {}) {
    const beside = x > 1; // right of the plot, a fixed step away from it
    return { text, x: beside ? 1 : x, xshift: beside ? 8 : 0, y, xref: "paper", yref: "paper", showarrow: false, font: { size: 11.5, color }, xanchor: "left", yanchor: "middle", ...more };
  }

  function rounds(lane) {
    return sv.done(lane);
  }

  function upTo(lane) {
    const done = rounds(lane);
    return lane.tokens.filter((token) => token.round < done);
  }

  const fatesOf = (ink) => ({
    accepted: { symbol: "circle", size: DOT, color: ink.ink3, opacity: 0.45 }, relaxed: { symbol: "diamond", size: 9, color: ink.amber, opacity: 1 }, rejected: { symbol: "x", size: 7, color: ink.red, opacity: 1 },
  });

  function focusLane() {
    const all = sv.shown().filter(({ lane }) => lane.rule !== "plain");
    const token = sv.pickedToken();
    const lossy = all.filter(({ lane }) => !lane.lossless);
    return (token && lossy.find(({ lane }) => lane.index === token.lane)) || lossy[lossy.length - 1] || all[all.length - 1] || null;
  }

  function ringed(found, ink) {
    const picked = sv.pickedToken();
    const hit = picked && found.find((point) => point.token === picked);
    return hit ? [{ x: [hit.x], y: [hit.y], mode: "markers", cliponaxis: false, marker: { symbol: "circle-open", size: 16, color: ink.ink, line: { width: 1.6 } }, hoverinfo: "skip" }] : [];
  }

  // Marks by the hundred cost the browser far more than one path: `moves` takes a point to its piece of the path.
  function path(points, moves, line, more = {}) {
    return points.length ? [{ type: "path", path: points.map(moves).join(""), xref: "x", yref: "y", layer: "between", line, ...more }] : [];
  }

  // On the page the accepted tokens, which are most, are one path of dots; compare.css rounds lines of this width.
  // Their trace stays, for what it says when pointed at. A picture gets them as marks.
  const DOT = 5;
  function light({ data, layout, ...rest }) {
    const many = data.filter((trace) => trace.name === "accepted");
    const shapes = many.flatMap(({ x, y, marker: { color, opacity } }) => path(x, (at, i) => `M${at},${y[i]}L${at},${y[i]}`, { color, width: DOT }, { opacity }));
    return { ...rest, data: data.map((trace) => (many.includes(trace) ? { ...trace, mode: "none" } : trace)), layout: { ...layout, shapes: [...shapes, ...(layout.shapes || [])] } };
  }

  function byFate(points, ink, hover) {
    return Object.entries(fatesOf(ink)).map(([fate, marker]) => {
      const some = points.filter((point) => (point.fate || point.token.fate) === fate);
      return { x: some.map((p) => p.x), y: some.map((p) => p.y), text: some.map(hover), customdata: some.map((p) => [p.token.lane, p.token.key]), mode: "markers", type: "scatter", cliponaxis: false, marker, hovertemplate: "%{text}<extra></extra>", name: fate };
    });
  }

  const label = (token) => sv.dom.named(token.text).replace(/&/g, "&amp;").replace(/</g, "&lt;").slice(0, 40);

  function spread(ends, top, gap) {
    ends.sort((a, b) => b.y - a.y);
    let above = Infinity;
    ends.forEach((end) => { end.at = Math.min(end.y / top, above - gap); above = end.at; });
    let below = -gap / 2;
    [...ends].reverse().forEach((end) => { end.at = Math.max(end.at, below + gap); below = end.at; });
    return ends;
  }

  function card({ title, draw, modes = null, served = null }) {
    const made = { draw, served, mode: modes ? modes[0][0] : null, graph: el("div.canvas", { role: "img", "aria-label": title }) };
    const save = (format) => el("button", { type: "button", "aria-label": `${title} as ${format.toUpperCase()}`, onclick: () => image(made, title, format) }, format.toUpperCase());
    made.subtitle = el("p.caption");
    made.badge = el("span.badge.exact", null, "exact");
    made.modes = modes ? modes.map(([mode, words]) => el("button", { type: "button", "aria-pressed": String(mode === made.mode), onclick: (event) => {
      made.mode = mode;
      [...event.currentTarget.parentNode.querySelectorAll("[aria-pressed]")].forEach((one) => one.setAttribute("aria-pressed", String(one === event.currentTarget)));
      refresh(made);
    } }, words)) : [];
    made.node = el(served ? "section.plot.wide" : "section.plot", { "aria-label": title }, el("div.rowspread", null, el("h2", null, title), el("div.tools", null, made.modes, save("png"), save("svg"))),
      el("div.rowspread", null, made.subtitle, made.badge), served ? served(soon) : null, made.graph);
    if (served) empty(made);
    cards.push(made);
    return made.node;
  }

  // A plot that has nothing to show yet takes no space, and none of its tools are there.
  function empty(made, on = true) {
    made.graph.hidden = on;
    made.badge.hidden = on;
    made.node.querySelector(".tools").hidden = on;
    if (on) set(made.subtitle, "");
  }

  function refresh(made, bare = false) {
    if (!root.Plotly || !state.run) return;
    const drawn = made.draw(inks(), made.mode);
    if (made.served) empty(made, !drawn);
    if (!drawn) return;
    const figure = light(drawn);
    set(made.subtitle, figure.subtitle);
    made.badge.className = `badge ${figure.kind || "exact"}`;
    set(made.badge, figure.kind || "exact");
    if (made.mode) figure.layout.uirevision = made.mode;
    root.Plotly.react(made.graph, bare ? [] : figure.data, figure.layout, CONFIG);
    if (!made.wired) {
      made.wired = true;
      made.graph.on("plotly_click", ({ points }) => { const at = points[0] && points[0].customdata; if (at) sv.pick(at[0], at[1]); });
    }
  }

  async function image(made, title, format) {
    if (!root.Plotly) return;
    const figure = made.draw(inks(), made.mode);
    figure.layout.paper_bgcolor = inks().sheet;
    figure.layout.margin.b += 16;
    const url = await root.Plotly.toImage({ data: figure.data, layout: { ...figure.layout, width: 720, height: 380 } }, { format, width: 720, height: 380, scale: format === "png" ? 2 : 1 });
    const blob = await (await fetch(url)).blob();
    sv.dom.download(`specviz-${title.toLowerCase().replace(/[^a-z]+/g, "-")}.${format}`, blob);
  }

  let ticket = 0;
  let warm = false;
  let free = 0; // when the next card may be drawn: while things move, all of them together take a fifth of the time

  // Draws the card that has waited longest, each in a task of its own, so that no frame is held up by all of them. The
  // very first drawing, which also sets Plotly up, is without data for the same reason.
  function turn() {
    ticket = 0;
    const now = performance.now();
    const made = cards.filter((one) => one.stale && one.due() <= now).sort((a, b) => a.drawn - b.drawn)[0];
    if (made) {
      made.stale = !warm;
      refresh(made, !warm);
      if (warm) {
        const end = performance.now();
        made.cost = made.drawn ? end - now : 0; // the first time says little about the next
        made.drawn = end;
        free = moving() ? end + 4 * (end - now) : 0;
      }
      warm = true;
    }
    wake();
  }

  // A card is drawn a fifth of the time, and while things move a tenth of it and four times a second at most. One that
  // takes longer than a person fails to notice waits for the end of a run that is streaming.
  function due(made) {
    if (!made.seen && (made.drawn || !made.wide)) return Infinity;
    if (!moving()) return made.drawn + 4 * made.cost;
    return state.live && made.cost > LONG ? Infinity : made.drawn + Math.max(250, 10 * made.cost);
  }

  const moving = () => state.playing || state.live || sv.timeline.dragging();

  function wake() {
    if (ticket || !root.Plotly) return;
    const next = Math.min(...cards.filter((one) => one.stale).map((one) => one.due()));
    if (next < Infinity) ticket = setTimeout(turn, Math.max(0, Math.max(next, free) - performance.now()));
  }

  function soon() {
    cards.forEach((made) => { made.stale = true; });
    clearTimeout(ticket);
    ticket = 0;
    wake();
  }

  // Fetched when the page has nothing better to do: running it takes longer than a frame.
  function fetchIdle() {
    if (state.live || !state.run) return;
    const idle = root.requestIdleCallback || setTimeout;
    idle(() => { if (!state.live) load().then(soon, () => cards.forEach((made) => set(made.subtitle, "The plots could not be loaded."))); });
  }

  function build() {
    kinds.sort((a, b) => a.place - b.place);
    const made = kinds.filter((kind) => !kind.served || !sv.offline).map(card);
    const upper = el("div.plots.upper", null, made.slice(0, 2));
    const lower = el("div.plots", null, made.slice(2));
    const watcher = new IntersectionObserver((seen) => {
      seen.forEach((one) => { Object.assign(cards.find((each) => each.node === one.target), { seen: one.isIntersecting, wide: one.boundingClientRect.width > 0 }); });
      wake();
    }, { rootMargin: "200px" });
    cards.forEach((one) => {
      Object.assign(one, { stale: true, seen: false, wide: false, drawn: 0, cost: 0, due: () => due(one) });
      watcher.observe(one.node);
    });
    sv.on("run append time pick columns whatif theme ended rest", soon);
    sv.on("run ended", fetchIdle);
    return [upper, lower];
  }

  // What the files of plots/ draw with.
  const tools = { layout, note, spread, rounds, upTo, focusLane, ringed, path, byFate, label };
  sv.plots = { build, cards, refresh, load, image, tools, CONFIG, add: (kind) => kinds.push(kind) };
})(window);
