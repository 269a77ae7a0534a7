"""The page as a visitor meets it: the real app, a real browser, real runs. One app serves all tests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from specviz.record import metrics
from specviz.record.trace import Trace
from tests.support.browser import DRAWN, WIDTHS, beyond, until, watched
from tests.support.traces import recorded, replay, signed

ROOT = Path(__file__).resolve().parents[2]
RECORDED = recorded("small")
HOSTILE = '<img src=x onerror="window.broken=1">${window.broken=1}{{window.broken=1}}</script><script>window.broken=1</script>\u202eabc\x00'

pytestmark = pytest.mark.skipif(not RECORDED, reason="no recorded runs")


def run(page, **fields) -> None:
    for name, value in fields.items():
        page.fill(f"[data-field={name}]", str(value))
    page.focus("#sv-prompt")
    page.keyboard.press("Control+Enter")
    until(page, "!specviz.state.live && specviz.state.source === 'live' && specviz.state.raw")


def texts(page) -> list[str]:
    return page.eval_on_selector_all(".sv .lane .text", "nodes => nodes.map(node => node.textContent)")


def error(page, field: str) -> str:
    until(page, "name => [...document.querySelectorAll('.sv .error')].some(node => node.textContent)", arg=field)
    return " ".join(page.eval_on_selector_all(".sv .error", "nodes => nodes.map(node => node.textContent)")).strip()


def test_first_paint_is_a_recorded_run_already_playing(chromium, home):
    context = chromium.new_context(viewport={"width": 1440, "height": 1000})
    page, wrong = watched(context, home)
    page.goto(home)
    until(page, "window.specviz?.state?.playing && window.specviz.state.time > 0")
    assert page.evaluate("specviz.state.source") == "recorded", "nothing was run for it"
    assert page.inner_text(".timeline .badge") == "recorded"
    before = page.evaluate("specviz.state.time")
    until(page, "before => specviz.state.time > before", arg=before)
    assert page.locator(".inspector .verdict").inner_text()
    context.close()
    assert wrong == []


def test_three_lanes_stream_and_their_figures_are_those_of_the_engine(tab):
    assert tab.eval_on_selector_all(".lanehead select", "nodes => nodes.map(node => node.value)") == [
        "sps",
        "tas",
        "cactus",
    ]
    run(tab, max_new_tokens=40, seed=5)
    record = Trace.from_json(tab.evaluate("specviz.state.raw"))
    lanes = record.lanes
    assert [lane.name for lane in lanes] == ["sps", "tas", "cactus", "plain"]
    plain = lanes[3]
    for i, lane in enumerate(lanes[:3]):
        wanted = metrics.figures(lane, plain)
        shown = {
            node.get_attribute("data-figure"): node
            for node in tab.locator(f".lane:nth-child({i + 1}) [data-figure]").all()
        }
        value = {name: node.text_content().split() for name, node in shown.items()}
        assert value["accepted_per_round"][0] == f"{wanted['accepted_per_round']:.2f}"
        low, high = wanted["speedup_low"], wanted["speedup_high"]
        close = high - low <= 0.6 * wanted["speedup"] or low >= 1.5 or high <= 1 / 1.5
        telling = not low <= 1 <= high and close
        said = f"{wanted['speedup']:.2f}×" if telling else "too noisy to say"
        assert f"{low:.2f} – {high:.2f}" in " ".join(value["speedup"]) and said in " ".join(value["speedup"])
        assert f"{wanted['acceptance_rate']:.0f}" == value["acceptance_rate"][0]
        assert f"{wanted['emitted_per_round']:.2f}" in value["emitted_per_round"][-1]
        shares = [round(wanted[name]) for name in ("draft_share", "verify_share")]
        assert f"draft {shares[0]} %, verify {shares[1]} %" in shown["time"].get_attribute("aria-label")
        assert f"{round(wanted['tokens_per_second'])}" == value["tokens_per_second"][0]
        written = tab.evaluate("i => specviz.store.text(specviz.state.run.lanes[i])", i)
        assert written == record.text(i)
        counted = tab.evaluate(
            "i => { const s = specviz.state.run.lanes[i].sums.at(-1); return [s.rounds, s.judged, s.kept, s.relaxed, s.emitted, s.kl / Math.max(1, s.klCount)] }",
            i,
        )
        assert counted[:5] == [wanted[name] for name in ("rounds", "judged", "accepted", "relaxed", "emitted")]
        assert counted[5] == pytest.approx(wanted["mean_kl"] or 0, rel=1e-9)
        by_slot = tab.evaluate(
            "i => specviz.measures.bySlot(specviz.state.run.lanes[i], 1e9).map(s => [s.conditional, s.unconditional])",
            i,
        )
        assert by_slot == [[row["conditional"], row["unconditional"]] for row in metrics.acceptance_by_position(lane)]
        assert tab.evaluate(
            "i => specviz.measures.lengths(specviz.state.run.lanes[i], 1e9)", i
        ) == metrics.accepted_lengths(lane)


def test_lost_messages_are_healed(tab):
    """The page gets every other message of a run, then one in eight, and ends with the whole trace each time."""
    for every in (2, 8):
        messages = [json.dumps(message) for message in messages_of(RECORDED[0], every)]
        shown = tab.evaluate(
            """async messages => {
              const wire = specviz.live.wire(), trigger = wire.trigger;
              let id = null;
              wire.trigger = (name, data) => { if (name === 'run') id = data.id; };
              specviz.controls.run();
              wire.trigger = trigger;
              for (const text of messages) { specviz.live.receive(JSON.stringify({ ...JSON.parse(text), run: id })); await new Promise(requestAnimationFrame); }
              return [specviz.state.live, specviz.state.raw.length, specviz.state.run.lanes.map(lane => lane.rounds.length),
                [...document.querySelectorAll('.lane:nth-child(1) .round')].length];
            }""",
            messages,
        )
        text = RECORDED[0].read_text(encoding="utf-8")
        rounds = [len(lane["rounds"]) for lane in json.loads(text)["lanes"]]
        assert shown == [False, len(text), rounds, rounds[0]]


def messages_of(path: Path, every: int) -> list[dict]:
    """The messages that would have streamed a recorded run, one round each, of which the page sees one in `every`."""
    text = path.read_text(encoding="utf-8")
    data = json.loads(text)
    header = data | {"lanes": [lane | {"rounds": []} for lane in data["lanes"]]}
    steps = [[i, round_] for i, lane in enumerate(data["lanes"]) for round_ in lane["rounds"]]
    deltas = [
        {"seq": n + 1, "rounds": [step], "pieces": {}, "special": [], "finished": {}} for n, step in enumerate(steps)
    ]
    made = [{"kind": "start", "trace": header, "deltas": []}]
    made += [{"kind": "delta", "deltas": deltas[max(0, n - 3) : n + 1]} for n in range(0, len(deltas), every)]
    return [
        *made,
        {"kind": "end", "deltas": deltas[-4:], "finished": [lane["finished"] for lane in data["lanes"]], "final": text},
    ]


def test_the_same_seed_gives_the_same_run_and_it_verifies(tab):
    run(tab, max_new_tokens=24, seed=9)
    first = texts(tab)
    run(tab)
    assert texts(tab) == first
    tab.click("text=Open")
    tab.click("text=Re-run and verify")
    until(tab, "document.querySelector('.notice').textContent.startsWith('Reproduced')")


def never_ending(page) -> None:
    """Settings that keep a run busy for long: near-uniform sampling hardly ever draws the end of the text."""
    page.fill("[data-field=max_new_tokens]", "900")
    page.fill("[data-field=temperature]", "5")
    page.click(".run")
    until(
        page,
        "specviz.state.live && specviz.state.source === 'live' && specviz.state.run.lanes.some(lane => lane.rounds.length > 1)",
    )


def test_stop_ends_the_compute_within_a_round(tab):
    never_ending(tab)
    tab.click(".run")
    until(tab, "!specviz.state.live && specviz.state.raw")
    record = Trace.from_json(tab.evaluate("specviz.state.raw"))
    assert "stopped" in {lane.finished for lane in record.lanes}
    assert max(len(lane.rounds) for lane in record.lanes) < 850
    assert "Stopped" in tab.inner_text(".notice")


BAD = [
    ("temperature", "9", "temperature must be from 0 to 5"),
    ("temperature", "warm", "temperature must be a number"),
    ("top_p", "0", "top_p must be above 0"),
    ("top_k", "-1", "top_k must be from 0"),
    ("draft_length", "0", "draft_length must be from 1 to 32"),
    ("draft_length", "2.5", "draft_length must be a whole number"),
    ("max_new_tokens", "0", "max_new_tokens must be from 1"),
    ("seed", "-1", "seed must be from 0"),
    ("seed", "", "seed must be a number"),
]


def test_bad_input_gets_its_sentence_and_keeps_the_run(tab):
    before = texts(tab)
    for field, value, sentence in BAD:
        good = tab.input_value(f"[data-field={field}]")
        tab.fill(f"[data-field={field}]", value)
        tab.click(".run")
        assert sentence in error(tab, field)
        assert tab.get_attribute(f"[data-field={field}]", "aria-invalid") == "true"
        tab.fill(f"[data-field={field}]", good)
    delta = tab.get_by_label("cactus delta", exact=True)
    delta.fill("99")
    delta.press("Tab")
    tab.click(".run")
    assert "delta must be from 0 to 10 nats" in error(tab, "lane2")
    assert "delta" in tab.inner_text("[data-error=lane2]")
    delta.fill("1")
    delta.press("Tab")
    for prompt, sentence in (
        ("", "The prompt is empty"),
        ("  \n ", "The prompt is empty"),
        ("word " * 4000, "tokens long"),
        ("a" * 60_000, "characters"),
    ):
        tab.fill("#sv-prompt", prompt)
        tab.click(".run")
        assert sentence in error(tab, "prompt")
    assert texts(tab) == before


def test_hostile_prompts_stay_text(tab):
    for prompt in (HOSTILE, "a" * 1_000 + "\u202e" + "<b>"):
        tab.fill("#sv-prompt", prompt)
        run(tab, max_new_tokens=6)
        assert tab.evaluate("specviz.state.run.trace.prompt") == prompt.replace("\x00", "\x00")
        assert tab.evaluate("window.broken") is None
        assert tab.locator(".sv .text img, .sv .text script, .sv .text b").count() == 0


def hostile_trace() -> str:
    """A well-formed trace whose every token is a piece of mischief."""
    data = json.loads(RECORDED[0].read_text(encoding="utf-8"))
    mischief = [
        HOSTILE,
        "x" * 10_000,
        " \u202eright to left",
        "\x00\x07",
        "${1}",
        "{{value}}",
        "`",
        "\U0001f600",
        "\n\n\t",
        "&amp;<",
    ]
    data["pieces"] = {token: mischief[i % len(mischief)] for i, token in enumerate(data["pieces"])}
    data["prompt"] = HOSTILE
    return signed(data)


def test_a_hostile_trace_stays_text(tab, tmp_path):
    path = tmp_path / "trace.json"
    path.write_text(hostile_trace(), encoding="utf-8")
    tab.set_input_files("#sv-file", path)
    until(tab, "specviz.state.source === 'imported'")
    tab.locator(".sv .lane .t").first.click()
    assert tab.evaluate("window.broken") is None
    assert tab.locator(".sv .text img, .sv .text script, .sv .inspector img").count() == 0
    shown = "".join(texts(tab))
    assert (
        "<img src=x" in shown and "␀" in shown and "⟨202E⟩" in shown and "\u202e" not in shown and "\x00" not in shown
    )
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_importing_runs_nothing_and_says_what_is_wrong(tab, tmp_path):
    good = RECORDED[-1].read_text(encoding="utf-8")
    before = texts(tab)
    edited = good.replace('"seed":', '"seed":1', 1)
    cases = [
        (good[: len(good) // 2], "cut off"),
        (edited, "changed after it was saved"),
        (signed(json.loads(good) | {"version": 7}), "version 7"),
        ("[1]", "not a specviz trace"),
        ("hello", "not JSON"),
    ]
    path = tmp_path / "trace.json"
    for text, sentence in cases:
        path.write_text(text, encoding="utf-8")
        tab.evaluate("specviz.notices.clearErrors()")
        tab.set_input_files("#sv-file", path)
        assert sentence in error(tab, "prompt")
        assert texts(tab) == before
    path.write_text(good, encoding="utf-8")
    tab.set_input_files("#sv-file", path)
    until(tab, "specviz.state.source === 'imported'")
    assert tab.inner_text(".timeline .badge") == "imported"
    assert tab.evaluate("specviz.state.raw") == good


def test_the_browser_judges_recorded_tokens_as_the_rules_do(tab):
    """Every rule the page re-judges in the browser gives the engine's acceptance probability for real tokens."""
    for path in RECORDED[:2]:
        data = json.loads(path.read_text(encoding="utf-8"))
        worst = tab.evaluate(
            """trace => { const run = specviz.store.open(trace); let worst = 0, count = 0;
              run.lanes.forEach(lane => lane.tokens.forEach(token => { if (token.judged < 0) return;
                const phi = specviz.rules.accept(lane.rule, specviz.store.detail(run, token).facts, lane.knobs);
                if (phi !== null) { worst = Math.max(worst, Math.abs(phi - token.accept)); count += 1; } }));
              return [worst, count]; }""",
            data,
        )
        assert worst[0] < 1e-4 and worst[1] > 20


def test_a_dragged_knob_recolours_without_a_model(tab):
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    slider = tab.get_by_label("cactus delta, slider")
    slider.fill("0")
    tab.wait_for_selector(".whatif:visible")
    words = tab.inner_text(".whatif:visible")
    assert "δ 0" in words
    struck = tab.eval_on_selector_all(
        ".lane:nth-child(3) [data-figure] del",
        "nodes => nodes.map(node => node.closest('[data-figure]').dataset.figure)",
    )
    assert {"speedup", "tokens_per_second"} <= set(struck), "seconds are not computed from a trace"
    share = tab.locator(".lane:nth-child(3) [data-figure=relaxed_share] dd").inner_text()
    assert share.split("%")[-2].split()[-1] == "0", "without a budget nothing is kept by leniency"
    assert tab.locator(".lane:nth-child(1) del").count() == 0
    relaxed = tab.evaluate("specviz.state.run.lanes[2].tokens.filter(token => token.fate === 'relaxed').length")
    changed = tab.locator(".lane:nth-child(3) .t.changed").count()
    assert changed == relaxed, "without a budget exactly the relaxed tokens are refused"
    if changed:
        assert "counterfactual" in words and tab.locator(".lane:nth-child(3) .t.ghost").count() > 0
    tab.click(".whatif:visible >> text=Undo")
    assert tab.locator(".whatif:visible").count() == 0
    assert [url for url in asked if "plotly" not in url and not url.startswith("blob:")] == []


BOXES = """() => { const wrong = []; let seen = 0;
  for (const { lane } of specviz.shown()) for (const token of lane.tokens.filter((one) => one.judged >= 0).slice(0, 25)) {
    specviz.pick(lane.index, token.key);
    const card = document.querySelector('.abar').getBoundingClientRect();
    const texts = [...document.querySelectorAll('.abar text')].map((node) => [node.textContent, node.getBoundingClientRect()]);
    texts.forEach(([words, box], i) => {
      if (box.left < card.left - 0.5 || box.right > card.right + 0.5) wrong.push(`${words} leaves the card`);
      texts.slice(i + 1).forEach(([other, that]) => {
        if (box.left < that.right && that.left < box.right && box.top < that.bottom - 2 && that.top < box.bottom - 2) wrong.push(`${words} on ${other}`); }); });
    seen += 1; }
  specviz.pick(null);
  return [wrong, seen]; }"""


def test_labels_of_the_inspectors_bar_keep_apart(tab):
    """Over recorded tokens, in the browser's own font; tests/js/labels.test.js goes through all of them with a wide one."""
    wrong, seen = tab.evaluate(BOXES)
    assert wrong == [] and seen > 60


def test_costs_of_a_call_are_one_setting_and_go_along_in_the_link(tab):
    """An example of costs changes the estimated speed-up of every lane as the counts say, and nothing measured."""
    before = tab.eval_on_selector_all("[data-figure=estimated] dd", "nodes => nodes.map(node => node.textContent)")
    tab.click(".costs summary")
    tab.select_option(".costs select", "0")
    after = tab.eval_on_selector_all("[data-figure=estimated] dd", "nodes => nodes.map(node => node.textContent)")
    assert len(after) == len(before) == 3 and after != before
    wanted = tab.evaluate(
        """() => specviz.shown().map(({ lane }) => { const { rounds, drafted, emitted } = lane.sums.at(-1);
          return `${(emitted / (rounds + drafted / 25 + (0.05 / 4) * drafted)).toFixed(2)}×`; })"""
    )
    assert after == wanted
    assert tab.evaluate("specviz.links.read(specviz.share.link()).costs") == {"verifier": 25, "look": 1.05}
    tab.select_option(".costs select", "here")
    assert (
        tab.evaluate("specviz.share.link().includes('costs')") is False and tab.evaluate("specviz.state.costs") is None
    )
    tab.keyboard.press("Escape")


def test_selection_is_marked_in_every_lane_and_walks_with_the_keyboard(tab):
    tab.focus(".lane:nth-child(1) .text")
    tab.keyboard.press("Home")
    first = tab.evaluate("specviz.state.picked")
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("specviz.state.picked") == {"lane": first["lane"], "key": first["key"] + 1}
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("specviz.state.picked.lane") == 1
    assert tab.locator(".t.selected").count() == 1 and tab.locator(".t.same").count() >= 1
    tab.keyboard.press("Escape")
    assert tab.evaluate("specviz.state.picked") is None


def test_the_timeline_plays_steps_and_scrubs(tab):
    tab.focus(".track")
    tab.keyboard.press("Home")
    assert tab.evaluate("specviz.state.time") == 0
    assert tab.locator(".lane:nth-child(1) .round.future").count() > 0
    tab.keyboard.press("ArrowRight")
    after = tab.evaluate("specviz.state.time")
    assert after > 0
    tab.keyboard.press("ArrowLeft")
    assert tab.evaluate("specviz.state.time") < after
    tab.keyboard.press("End")
    assert tab.locator(".round.future, .round.live").count() == 0
    tab.keyboard.press(" ")
    assert tab.evaluate("specviz.state.playing")
    tab.keyboard.press(" ")
    assert not tab.evaluate("specviz.state.playing")


def test_a_link_restores_the_run_and_garbage_is_ignored(tab, chromium, home):
    run(tab, max_new_tokens=16, seed=11)
    tab.evaluate("specviz.pick(2, 3); specviz.setTime(specviz.state.run.span / 2)")
    link = tab.evaluate("specviz.share.link()")
    wanted = tab.evaluate("[specviz.state.run.lanes.map(lane => specviz.store.text(lane)).slice(0, 3)]")
    other = chromium.new_page()
    other.goto(link)
    until(
        other,
        "window.specviz?.state?.source === 'live' && specviz.state.raw && specviz.state.picked && specviz.state.time < Infinity",
    )
    assert other.evaluate("[specviz.state.run.lanes.map(lane => specviz.store.text(lane)).slice(0, 3)]") == wanted
    assert other.evaluate("specviz.state.picked") == {"lane": 2, "key": 3}
    other.close()
    for garbage in ("#run=%%%", "#run=e30", "#run=" + "A" * 500, "#nothing"):
        other = chromium.new_page()
        other.goto(home + garbage)
        until(other, "window.specviz?.state?.run")
        if garbage.startswith("#run"):
            assert "ignored" in other.inner_text("[data-error=prompt]")
        other.close()


def test_the_replay_plays_from_a_file_without_any_request(chromium, tmp_path):
    path = tmp_path / "replay.html"
    path.write_text(replay(hostile_trace()), encoding="utf-8")
    context = chromium.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    page, wrong = watched(context, path.as_uri())
    page.goto(path.as_uri())
    page.wait_for_selector(".sv .lane .t")
    assert page.evaluate("window.broken") is None
    page.locator(".plots").first.scroll_into_view_if_needed()
    page.wait_for_selector(".plots .js-plotly-plot")
    context.close()
    assert [line for line in wrong if "another host" not in line or "file:" not in line] == []


def test_the_replay_can_be_downloaded_from_the_page(tab, tmp_path):
    tab.click("text=Export")
    with tab.expect_download() as download:
        tab.click("[role=menuitem] >> text=Replay")
    path = tmp_path / "replay.html"
    download.value.save_as(path)
    assert path.stat().st_size < 4_000_000 and "specviz-trace" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_width_holds_all_of_it(chromium, home, scheme):
    """From a small phone to a large screen nothing reaches beyond the right edge, the advisor's table included; on a
    phone, a thumb can hit what can be pressed."""
    context = chromium.new_context(
        viewport={"width": 1440, "height": 900}, color_scheme=scheme, reduced_motion="reduce", has_touch=True
    )
    page, wrong = watched(context, home)
    page.goto(home)
    until(page, "window.specviz?.live?.wire() && window.specviz.state.run")
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    page.click("text=Find settings")
    until(page, "document.querySelector('.advice tbody tr')")
    for width in WIDTHS:
        assert beyond(page, width) == []
        if width < 500:
            small = page.eval_on_selector_all(
                ".sv button, .sv select, .sv summary, .sv input:not([type=file])",
                "nodes => nodes.filter(n => n.offsetParent && Math.max(n.getBoundingClientRect().height, n.closest('label')?.getBoundingClientRect().height || 0) < 40).map(n => n.textContent || n.getAttribute('aria-label'))",
            )
            assert small == []
    context.close()
    assert wrong == []


def test_plots_are_drawn_and_follow_the_playhead(tab):
    tab.locator(".plots").last.scroll_into_view_if_needed()
    until(tab, DRAWN)
    count = "() => document.querySelector('.js-plotly-plot').data.reduce((n, trace) => n + (trace.customdata ? trace.x.length : 0), 0)"
    full = tab.evaluate(count)
    tab.evaluate("specviz.setTime(specviz.state.run.span / 3)")
    until(tab, f"full => ({count})() < full", arg=full)
    assert tab.evaluate(count) > 0
