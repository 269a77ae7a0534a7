"""How fast the page is, in a real browser over the real app: `python -m tests.page_performance`.

Prints (a) what streaming costs beside the same run without a page, and how late a token is seen, (b) how a trace of
2,000 tokens opens and scrubs, (c) how soon the first run moves, (d) what dragging a knob costs. Times are of the
wall clock; on a busy machine read the CPU times beside them, which count only what the page itself computed.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.support.browser import DRAWN, app, browser, until

PROMPT, STYLE = "Once upon a time there was a little boat named Pip. Pip wanted to", "tiny"
LANES = ["sps", "block", "cactus", "interpolation"]
SAMPLING = {"temperature": 1.8, "top_k": 0, "top_p": 1.0}  # hot, so that no lane ends before its length
READY = "window.specviz?.live?.wire() && window.specviz.state.run && !window.specviz.state.playing"
LONG = 50  # ms: what the browser calls a long task

WATCH_STREAM = """async () => {
  const seen = [], long = [];
  new PerformanceObserver(list => list.getEntries().forEach(one => long.push(one.duration))).observe({ type: 'longtask' });
  // A frame drawn in one animation frame is on the screen by the next.
  specviz.on('append', rounds => requestAnimationFrame(() => rounds.forEach(([lane, round]) => seen.push([lane, round.index, round.given.emitted.length, Date.now()]))));
  const ended = new Promise(done => specviz.on('ended', () => setTimeout(done, 500)));
  specviz.controls.run();
  await ended;
  const lanes = JSON.parse(specviz.state.raw).lanes;
  return { seen, long, rounds: lanes.map(lane => lane.rounds.length), compute: lanes.reduce((sum, lane) => sum + lane.rounds.at(-1).clock, 0) };
}"""

# Calls `each(share)` once per animation frame, share from 0 to 1, and gives the milliseconds between the frames.
FRAMES = """async (each, count) => {
  const frame = () => new Promise(requestAnimationFrame), gaps = [];
  let last = await frame();
  for (let i = 0; i <= count; i += 1) { each(i / count); const now = await frame(); gaps.push(now - last); last = now; }
  return gaps;
}"""

SCRUB = f"""() => {{
  const track = document.querySelector('.track'), box = track.getBoundingClientRect();
  const to = (name, share) => track.dispatchEvent(new PointerEvent(name, {{ pointerId: 1, clientX: box.left + 76 + share * (box.width - 92), clientY: box.bottom - 2, bubbles: true }}));
  track.setPointerCapture = () => {{}};
  to('pointerdown', 0);
  return ({FRAMES})(share => to('pointermove', share), 240).then(gaps => {{ to('pointerup', 1); return gaps; }});
}}"""

DRAG = f"""() => {{
  const slider = document.querySelector('input[aria-label="cactus delta, slider"]');
  return ({FRAMES})(share => {{ slider.value = 1000 * share; slider.dispatchEvent(new Event('input', {{ bubbles: true }})); }}, 120);
}}"""

FIRST = """new Promise(done => {
  const look = () => {
    const sv = window.specviz;
    const moving = sv?.state?.playing && sv.state.time > 0 && document.querySelector('.sv .lane .round:not(.future)');
    if (moving) requestAnimationFrame(() => done(performance.now() - performance.getEntriesByType('navigation')[0].responseEnd));
    else requestAnimationFrame(look);
  };
  look();
})"""


def settings(tokens: int) -> list:
    """The lanes of a run as the engine takes them, the same that the page asks for."""
    from specviz import rules
    from specviz.engine.settings import Settings
    from specviz.types import Sampling

    return [
        Settings(rule=rules.make(name), sampling=Sampling(**SAMPLING), draft_length=4, max_new_tokens=tokens, seed=1)
        for name in LANES
    ]


def engine(pair, tokens: int):
    """The run without a page: its trace, wall seconds and tokens."""
    from specviz.record.running import run

    lanes = settings(tokens)
    began = time.perf_counter()
    made = run(pair, PROMPT, lanes, style=STYLE).finish()
    return made, time.perf_counter() - began


def emitted(trace) -> int:
    return sum(len(lane.tokens) for lane in trace.lanes)


def serve(stamps: Path) -> None:
    """The app, with the wall-clock time of every round of a run written to a file."""
    from specviz import cli
    from specviz.record import running

    plain = running.race

    def stamped(*given):
        rounds: dict[int, int] = {}
        with stamps.open("w") as out:
            for step in plain(*given):
                at = rounds.setdefault(step.lane, 0)
                rounds[step.lane] += 1
                print(step.lane, at, time.time(), file=out, flush=True)
                yield step

    running.race = stamped
    cli.main(["page", "--pair", "small"])


def tasks(chromium, page, act) -> tuple[object, list[float], list[float]]:
    """What `act()` gives, with the page's own tasks meanwhile: milliseconds by the wall clock, and of CPU."""
    chromium.start_tracing(page=page, categories=["toplevel", "disabled-by-default-devtools.timeline"])
    result = act()
    events = json.loads(chromium.stop_tracing())["traceEvents"]
    main = {
        (e["pid"], e["tid"]) for e in events if e["name"] == "thread_name" and e["args"]["name"] == "CrRendererMain"
    }
    pid = max(main, key=lambda one: sum(e.get("tdur", 0) for e in events if (e["pid"], e["tid"]) == one))
    found = [e for e in events if e["name"] == "RunTask" and "dur" in e and (e["pid"], e["tid"]) == pid]
    return result, [e["dur"] / 1000 for e in found], [e.get("tdur", 0) / 1000 for e in found]


def at(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def show(title: str, **figures) -> None:
    print(
        f"{title:44}" + "   ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items()), flush=True
    )


def work(wall: list[float], cpu: list[float]) -> dict:
    over = {
        f"tasks_over_{LONG}_ms": f"{sum(one > LONG for one in wall)} by the wall clock, {sum(one > LONG for one in cpu)} by CPU time"
    }
    return over | {"longest": f"{max(wall):.0f} ms, {max(cpu):.0f} ms of CPU", "CPU_in_all": f"{sum(cpu) / 1000:.2f} s"}


def smooth(gaps: list[float]) -> dict:
    median = statistics.median(gaps)
    return {
        "median_frame": f"{median:.1f} ms",
        "frames_a_second": f"{1000 / median:.0f}",
        "95_%": f"{at(gaps, 0.95):.0f} ms",
    }


def open_page(chromium, home: str, **context):
    page = chromium.new_context(viewport={"width": 1440, "height": 1000}, **context).new_page()
    page.goto(home)
    until(page, READY)
    return page


def stream(chromium, home: str, pair, stamps: Path) -> None:
    tokens = 400
    made, before = engine(pair, tokens)
    page = open_page(chromium, home, reduced_motion="reduce")
    page.evaluate(
        """([lanes, fields]) => { specviz.state.withPlain = false; specviz.state.columns = lanes.map(rule => ({ rule, knobs: specviz.defaults(rule), from: null })); specviz.emit('columns');
          Object.assign(specviz.state.form, fields); specviz.emit('form'); }""",
        [LANES, {**SAMPLING, "prompt": PROMPT, "style": STYLE, "draft_length": 4, "max_new_tokens": tokens, "seed": 1}],
    )
    found, wall, cpu = tasks(chromium, page, lambda: page.evaluate(WATCH_STREAM))
    _, after = engine(pair, tokens)
    count = emitted(made)
    when = {(int(lane), int(n)): float(second) for lane, n, second in map(str.split, stamps.read_text().splitlines())}
    late = [1000 * (shown / 1000 - when[lane, n]) for lane, n, size, shown in found["seen"] for _ in range(size)]
    took = max(when.values()) - min(when.values())
    last = max(found["seen"], key=lambda one: when[one[0], one[1]])
    show(
        f"(a) {len(LANES)} lanes, {count} tokens, without a page",
        tokens_a_second=f"{count / before:.0f} and {count / after:.0f}",
        compute=f"{sum(lane.rounds[-1].clock for lane in made.lanes):.1f} s",
    )
    show(
        "    streamed to the page",
        tokens_a_second=f"{count / took:.0f}",
        compute=f"{found['compute']:.1f} s",
        seen=f"{len(late)} of {count}",
    )
    show("    the page meanwhile", long_tasks_it_reports=len(found["long"]), **work(wall, cpu))
    show(
        "    a token made is seen after",
        median=f"{statistics.median(late):.0f} ms",
        **{"95_%": f"{at(late, 0.95):.0f} ms"},
        last=f"{last[3] - 1000 * when[last[0], last[1]]:.0f} ms",
    )
    page.context.close()


def long_trace(chromium, home: str, pair, folder: Path) -> None:
    from specviz.exports.replay import replay

    made, _ = engine(pair, 600)  # one lane ends early
    path = folder / "trace.json"
    made.save(path)
    page = open_page(chromium, home, reduced_motion="reduce")
    opened = """new Promise(done => { const input = document.querySelector('#sv-file'); let began = 0;
      input.addEventListener('change', () => { began = performance.now(); }, true);
      specviz.on('run', () => requestAnimationFrame(() => requestAnimationFrame(now => done(now - began)))); window.armed = true; })"""
    page.evaluate(f"window.opened = {opened}; 0")

    def act():
        page.set_input_files("#sv-file", path)
        return page.evaluate("window.opened")

    took, wall, cpu = tasks(chromium, page, act)
    show(
        f"(b) a trace of {emitted(made)} tokens, {path.stat().st_size / 1e6:.1f} MB",
        readable_after=f"{took:.0f} ms",
        **work(wall, cpu),
    )
    scrub(chromium, page, "    scrubbed from start to end")
    page.locator(".plots").last.scroll_into_view_if_needed()
    until(page, DRAWN)
    scrub(chromium, page, "    the same with the plots drawn")
    page.context.close()
    file = folder / "replay.html"
    file.write_text(replay(made), encoding="utf-8")
    page = chromium.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    page.goto(file.as_uri(), wait_until="commit")
    took = page.evaluate(FIRST)
    show(f"    its replay, {file.stat().st_size / 1e6:.1f} MB, opened from a file", moves_after=f"{took:.0f} ms")
    page.context.close()


def scrub(chromium, page, title: str) -> None:
    gaps, wall, cpu = tasks(chromium, page, lambda: page.evaluate(SCRUB))
    show(title, **smooth(gaps), **work(wall, cpu), CPU_a_frame=f"{sum(cpu) / len(gaps):.1f} ms")


def first_paint(chromium, home: str) -> None:
    for round_ in range(3):
        context = chromium.new_context(viewport={"width": 1440, "height": 1000})
        for name in ("cold", "warm"):
            page = context.new_page()
            page.goto(home, wait_until="commit")
            took = page.evaluate(FIRST)
            transferred = page.evaluate(
                "performance.getEntriesByType('resource').reduce((sum, one) => sum + one.transferSize, 0)"
            )
            painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0")
            show(
                f"(c) the first run moves, {name}" if round_ == 0 else f"    again, {name}",
                after=f"{took:.0f} ms",
                first_paint=f"{painted:.0f} ms after the click",
                fetched=f"{transferred / 1e6:.1f} MB",
            )
            page.close()
        context.close()


def knob(chromium, home: str) -> None:
    page = open_page(chromium, home, reduced_motion="reduce")
    gaps, wall, cpu = tasks(chromium, page, lambda: page.evaluate(DRAG))
    show(
        "(d) a knob dragged over its whole range",
        **smooth(gaps),
        **work(wall, cpu),
        CPU_a_frame=f"{sum(cpu) / len(gaps):.1f} ms",
    )
    page.context.close()


def main() -> None:
    from specviz import backends

    pair = backends.load_pair("small")
    backends.dedicate_process(pair)
    engine(pair, 20)
    wanted = sys.argv[1:] or ["a", "b", "c", "d"]
    with (
        tempfile.TemporaryDirectory() as scratch,
        app(
            Path(scratch) / "log.txt", (sys.executable, "-m", "tests.page_performance", "serve", f"{scratch}/stamps")
        ) as home,
        browser() as chromium,
    ):
        if "a" in wanted:
            stream(chromium, home, pair, Path(scratch) / "stamps")
        if "b" in wanted:
            long_trace(chromium, home, pair, Path(scratch))
        if "c" in wanted:
            first_paint(chromium, home)
        if "d" in wanted:
            knob(chromium, home)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(Path(sys.argv[2]))
    else:
        main()
