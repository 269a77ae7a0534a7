"""The page of each rule: its words live with the rule, its picture is drawn from the page's own laws."""

from __future__ import annotations

import pytest

from specviz import rules
from specviz.record.trace import load
from specviz.view import boot
from specviz.view.boot import rule_words
from tests.page.test_page import RECORDED, run
from tests.support.browser import until, watched
from tests.support.traces import replay

needs_a_run = pytest.mark.skipif(not RECORDED, reason="no recorded runs")


@pytest.mark.parametrize("name", rules.names())
def test_every_rule_says_when_it_helps_and_when_it_hurts(name):
    cls, words = rules.get(name), rule_words()[name]
    for word in ("formula", "helps", "hurts"):
        assert word in vars(cls) and words[word] == vars(cls)[word], "the words live in the rule's own file"
        assert 20 < len(words[word]) < 260
    assert words["helps"].endswith(".") and words["hurts"].endswith(".")
    assert all(knob["allowed"] and knob["help"].endswith(".") for knob in words["knobs"])


@needs_a_run
def test_a_rule_page_opens_closes_and_gives_the_focus_back(tab):
    button = tab.locator(".lane:nth-child(3) [data-about=cactus]")
    button.focus()
    tab.keyboard.press("Enter")
    dialog = tab.locator("dialog.aboutrule[open]")
    words = rule_words()["cactus"]
    shown = dialog.inner_text()
    assert all(
        part in shown
        for part in (words["summary"], words["formula"], words["hurts"][1:], "From 0 to 10 nats; default 1", "lossy")
    )
    assert dialog.locator("a[href='https://arxiv.org/abs/2604.04987']").count() == 1
    time = tab.evaluate("specviz.state.time")
    tab.keyboard.press("ArrowLeft")
    assert tab.evaluate("specviz.state.time") == time, "the page behind does not hear the keys"
    tab.keyboard.press("Escape")
    assert tab.locator("dialog[open]").count() == 0
    assert tab.evaluate("document.activeElement.dataset.about") == "cactus"
    button.click()
    dialog.get_by_label("Close").click()
    assert tab.evaluate("document.activeElement.dataset.about") == "cactus"


@needs_a_run
def test_every_rule_has_a_page_with_a_picture(tab):
    for name in ("plain", *rules.names()):
        tab.evaluate("name => specviz.about.open(name, {}, null)", name)
        dialog = tab.locator("dialog.aboutrule[open]")
        assert rule_words()[name]["formula"] in dialog.inner_text()
        if name != "plain":
            assert dialog.locator(".aboutpicture svg").count() >= 1
            numbers = dialog.locator(".aboutpicture").inner_html()
            assert "NaN" not in numbers and "undefined" not in numbers
        tab.keyboard.press("Escape")


@needs_a_run
def test_rule_pages_work_in_the_replay_and_on_a_phone(chromium, tmp_path):
    path = tmp_path / "replay.html"
    path.write_text(replay(RECORDED[0].read_text(encoding="utf-8")), encoding="utf-8")
    context = chromium.new_context(viewport={"width": 390, "height": 844}, reduced_motion="reduce", has_touch=True)
    page, wrong = watched(context, path.as_uri())
    page.goto(path.as_uri())
    page.wait_for_selector(".sv .lane.front .t")
    button = page.locator(".lane.front [data-about]")
    size = button.bounding_box()
    assert size["width"] >= 40 and size["height"] >= 40
    button.tap()
    dialog = page.locator("dialog.aboutrule[open]")
    assert dialog.locator(".aboutpicture svg").count() >= 1
    assert dialog.evaluate("node => node.scrollWidth <= node.clientWidth") and dialog.bounding_box()["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()
    assert [line for line in wrong if "file:" not in line] == []


PICKED = """() => { const { state, rules, store } = specviz;
  return state.run.lanes.filter((lane) => !lane.lossless).flatMap((lane) => lane.tokens
    .filter((token) => ["relaxed", "rejected"].includes(token.fate)).slice(0, 12).map((token) => {
      specviz.pick(lane.index, token.key);
      return [rules.keptWords(lane, store.detail(state.run, token).facts)?.join("") ?? null, document.querySelector(".inspector .verdict").textContent]; })); }"""


@needs_a_run
def test_the_inspector_says_what_would_keep_a_token(tab):
    """Its sentence of a token that the budget kept, or that was refused, ends with the values of the knob that keep it."""
    tab.fill("#sv-prompt", "Once upon a time there was a dog and a ball.")
    run(tab, max_new_tokens=60, seed=4)
    picked = tab.evaluate(PICKED)
    assert len(picked) > 10
    for words, shown in picked:
        assert shown.endswith(f" It would be kept {words}." if words else " would keep it.") or words is None


@needs_a_run
def test_a_rule_without_a_twin_is_said_to_be_unknown_to_the_browser(chromium, tmp_path, monkeypatch):
    """A replay whose page lacks the twin of a rule that ran: its row in the playground, its what-if, the inspector and its page
    say in words that the browser cannot compute it; everything else works, and no script fails."""
    record = next(trace for trace in map(load, RECORDED) if any(lane.knobs for lane in trace.lanes))
    name = next(lane.name for lane in record.lanes if lane.knobs)
    monkeypatch.setattr(boot, "TWINS", tuple(path for path in boot.TWINS if path.stem != name))
    path = tmp_path / "replay.html"
    path.write_text(replay(record.to_json()), encoding="utf-8")
    context = chromium.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce", offline=True)
    page, wrong = watched(context, path.as_uri())
    page.goto(path.as_uri())
    until(page, "document.querySelector('.sv .lane .t')")
    knob = rules.get(name).flips
    page.evaluate(
        """([name, knob]) => { const { columns } = specviz.state, index = columns.findIndex((column) => column.rule === name);
             columns[index].knobs = { ...columns[index].knobs, [knob]: columns[index].knobs[knob] / 2 }; specviz.emit('whatif', index); }""",
        [name, knob],
    )
    until(
        page, "name => document.querySelector('.sv').innerText.includes(`the browser cannot compute ${name}`)", arg=name
    )
    page.evaluate("name => specviz.about.open(name, {}, null)", name)
    assert "The browser cannot compute this rule." in page.inner_text("dialog.aboutrule[open]")
    page.keyboard.press("Escape")
    other = next(lane.name for lane in record.lanes if lane.rule and lane.name != name)
    page.evaluate(
        """(other) => { const lane = specviz.state.run.lanes.find((lane) => lane.rule === other);
             specviz.pick(lane.index, lane.tokens.find((token) => token.judged >= 0 && token.fate !== 'discarded').key); }""",
        other,
    )
    until(
        page,
        "name => document.querySelector('.inspector').innerText.includes(`The browser cannot compute: ${name}.`)",
        arg=name,
    )
    page.click(".sections button:has-text('Playground')")
    until(page, "document.querySelector('.playtable tbody tr')")
    assert f"The browser cannot compute {name}." in page.inner_text(".playtable")
    page.click(".playtable .fold[aria-expanded=false], .fold[aria-expanded=false]")
    shown = {text.strip() for text in page.locator(".playtable tbody .rulename").all_inner_texts()}
    assert shown == set(rules.names()) - {name}
    context.close()
    assert [line for line in wrong if "file:" not in line] == []


@needs_a_run
def test_what_the_knob_buys_is_computed_on_demand(tab):
    tab.fill("[data-field=max_new_tokens]", "24")
    tab.focus("#sv-prompt")
    tab.keyboard.press("Control+Enter")
    until(tab, "!specviz.state.live && specviz.state.source === 'live' && specviz.state.raw")
    section = tab.locator("section.plot.wide")
    section.scroll_into_view_if_needed()
    assert not section.locator(".canvas").is_visible() and not section.locator(".tools").is_visible()
    section.get_by_text("Compute for this text").click()
    section.locator(".js-plotly-plot").wait_for()
    assert "no rule can be here" in section.inner_text() and section.locator(".badge").inner_text() == "exact"
    assert not section.get_by_text("Compute for this text").is_visible()
    answer = tab.evaluate(
        """() => specviz.live.ask('buys', null, { trace: specviz.state.raw, lane: 0, rules: [['sps', {}]] }, () => {}).answer"""
    )
    drawn = tab.evaluate("document.querySelector('.plot.wide .js-plotly-plot').data.length")
    assert drawn == len(answer["curves"]) + 2 + 3, "the curves, the frontier and its far side, and a mark per lane"
    assert (
        "Gap: what more the best rule would keep at the same divergence" in section.text_content()
        and "sps: 0" in section.text_content()
    )
    for button, axis in (
        ("TV", "total variation"),
        ("reverse KL", "KL(verifier‖law), nats"),
        ("KL", "KL(law‖verifier), nats"),
    ):
        section.get_by_role("button", name=button, exact=True).click()
        until(tab, "axis => document.querySelector('.plot.wide .js-plotly-plot').textContent.includes(axis)", arg=axis)
        ends = tab.evaluate(
            "(() => { const line = document.querySelector('.plot.wide .js-plotly-plot').data.find((one) => (one.hovertemplate || '').startsWith('No rule')); return [line.x[0], line.y[0]]; })()"
        )
        assert ends[0] == 0 and 0 < ends[1] <= 100
    for asked in (
        "{}",
        "no",
        '{"trace": "x", "lane": 0, "rules": []}',
        '{"trace": "x", "lane": 0, "rules": [["sps", {"a": 1}]]}',
    ):
        said = tab.evaluate(
            """question => new Promise((done) =>
                 specviz.live.begin('ask', { kind: 'buys', question }, (message) => message.kind === 'wait' || done(message)))""",
            asked,
        )
        assert said["kind"] == "error" and said["message"].endswith(".")
