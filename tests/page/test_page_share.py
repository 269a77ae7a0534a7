"""What is sent on is what was seen: the replay file beside the live page, and a link opened by somebody else."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from specviz import exports
from specviz.record.trace import Trace
from tests.support.browser import DRAWN, until, watched
from tests.support.traces import recorded

RECORDED = recorded("small")

pytestmark = pytest.mark.skipif(not RECORDED, reason="no recorded runs")

# Everything a reader sees of a run, but where its numbers come from: a replay's are recorded where the run's were measured.
SEEN = """() => ({
  lanes: [...document.querySelectorAll('.sv .lane')].map(lane => ({
    rule: lane.querySelector('select').value,
    figures: Object.fromEntries([...lane.querySelectorAll('[data-figure]')].map(node => [node.dataset.figure, (node.querySelector('dd') || node).textContent])),
    tokens: [...lane.querySelectorAll('.t')].map(node => `${[...node.classList].sort().join(' ')}: ${node.textContent}`),
    foot: lane.querySelector('.foot').textContent,
  })),
  inspector: [...document.querySelectorAll('.sv .inspector > :not(.goon)')].map(part => part.innerText).join('\\n'),  // going on needs models
  clock: document.querySelector('.sv .clock').textContent,
})"""
# One token of each fate of each lane, as the arguments of `pick`.
TELLING = """() => specviz.shown().flatMap(({ lane }) => [...new Set(lane.tokens.map(token => token.fate))].map(fate => [lane.index, lane.tokens.findLast(token => token.fate === fate).key]))"""


def run(page, **fields) -> None:
    for name, value in fields.items():
        page.fill(f"[data-field={name}]", str(value))
    page.click(".run")
    until(page, "!specviz.state.live && specviz.state.source === 'live' && specviz.state.raw")


def at(page, pick: list, share: float) -> dict:
    """What is seen with a token selected and the playhead at a share of the run."""
    page.evaluate(
        "([pick, share]) => { specviz.pick(...pick); specviz.setTime(share < 1 ? share * specviz.state.run.span : Infinity); }",
        [pick, share],
    )
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate(SEEN)


def test_a_replay_from_a_file_shows_what_the_live_page_showed(tab, chromium, tmp_path):
    tab.fill("#sv-prompt", "One day a dog")  # a prompt whose right answer the page does not know: a replay never does
    run(tab, max_new_tokens=48, seed=5)
    tab.click("text=Export")
    with tab.expect_download() as download:
        tab.click("[role=menuitem] >> text=Replay")
    path = tmp_path / "replay.html"
    download.value.save_as(path)

    context = chromium.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce", offline=True)
    file, wrong = watched(context, path.as_uri())
    asked = []
    file.on("request", lambda request: asked.append(request.url))
    file.goto(path.as_uri())
    file.wait_for_selector(".sv .lane .t")
    picks = tab.evaluate(TELLING)
    assert picks == file.evaluate(TELLING) and len(picks) >= 8
    for pick in picks:
        live, replayed = at(tab, pick, 1), at(file, pick, 1)
        assert replayed == live and len(live["inspector"]) > 80
    assert at(file, picks[0], 0.4) == at(tab, picks[0], 0.4)
    names = "() => [...document.querySelectorAll('.js-plotly-plot')].map(plot => plot.data.map(trace => [trace.x?.length, trace.y?.length]))"
    drawn = []
    for page in (tab, file):
        page.evaluate("specviz.setTime(Infinity)")
        page.locator(".plots").last.scroll_into_view_if_needed()
        until(page, DRAWN)
        until(page, "specviz.plots.cards.every(card => !card.stale || !card.seen)")
        page.locator(".plots").first.scroll_into_view_if_needed()
        until(page, "specviz.plots.cards.every(card => !card.stale || !card.seen)")
        drawn.append(page.evaluate(names))
    assert drawn[0] == drawn[1]
    context.close()
    assert wrong == [] and [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


STATE = """() => ({
  prompt: document.querySelector('#sv-prompt').value, fields: Object.fromEntries([...document.querySelectorAll('[data-field]')].map(node => [node.dataset.field, node.value])),
  style: document.querySelector('[aria-label=Style]').value, columns: specviz.state.columns.map(({ rule, knobs }) => [rule, knobs]), picked: specviz.state.picked,
})"""


@pytest.fixture
def stranger(chromium, home):
    """A browser that has never been here: gives a page for a link."""
    contexts = []

    def visit(link: str):
        contexts.append(chromium.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce"))
        page, wrong = watched(contexts[-1], home)
        contexts[-1].wrong = wrong
        page.goto(link)
        return page

    yield visit
    for context in contexts:
        context.close()
        assert context.wrong == []


def test_a_link_to_a_recorded_run_shows_the_same_state(tab, stranger):
    tab.evaluate("specviz.examples.choose(specviz.boot.prompts.findLast(one => one.recorded))")
    until(tab, "specviz.state.run.trace.prompt === specviz.boot.prompts.findLast(one => one.recorded).text")
    tab.evaluate("specviz.pick(1, 4); specviz.setTime(specviz.state.run.span * 0.6)")
    other = stranger(tab.evaluate("specviz.share.link()"))
    until(other, "window.specviz?.state?.run && specviz.state.picked && specviz.state.time < Infinity")
    other.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert other.evaluate(STATE) == tab.evaluate(STATE)
    assert other.evaluate("specviz.state.time") == pytest.approx(tab.evaluate("specviz.state.time"), rel=1e-12)
    assert other.evaluate(SEEN) == tab.evaluate(SEEN)
    assert other.evaluate("specviz.state.source") == "recorded", "nothing was run"


def test_a_link_to_a_run_of_ones_own_makes_the_same_run(tab, stranger):
    tab.fill("#sv-prompt", "The old lighthouse\nkept “its” light — ü, 日本")
    tab.select_option(".lane:nth-child(2) .lanehead select", "lenience")
    delta = tab.get_by_label("cactus delta", exact=True)
    delta.fill("0.4")
    delta.press("Tab")
    run(tab, max_new_tokens=30, seed=12, temperature=0.9, top_k=40, top_p=0.9, draft_length=3)
    tab.evaluate("specviz.pick(2, 5)")
    other = stranger(tab.evaluate("specviz.share.link()"))
    until(
        other,
        "window.specviz?.state?.source === 'live' && !specviz.state.live && specviz.state.raw && specviz.state.picked",
    )
    assert other.evaluate(STATE) == tab.evaluate(STATE)
    here, there = tab.evaluate(SEEN), other.evaluate(SEEN)
    assert [lane["tokens"] for lane in there["lanes"]] == [lane["tokens"] for lane in here["lanes"]]
    assert there["inspector"] == here["inspector"]


def test_the_playhead_of_a_link_is_a_share_of_the_run(tab, stranger):
    tab.evaluate("specviz.setTime(specviz.state.run.span / 4)")
    at = "specviz.share.read(new URL(specviz.share.link()).hash).at"
    assert tab.evaluate(at) == pytest.approx(0.25)
    tab.evaluate("specviz.setTime(Infinity)")
    assert tab.evaluate(at) is None, "at the end there is nothing to say"
    encode = "at => btoa(JSON.stringify({ v: 1, ...specviz.controls.settings(), prompt: 'x', at })).replace(/=+$/, '')"
    for given in (7, -0.1, "half", [0.5]):
        other = stranger(f"{tab.url.split('#')[0]}#run={tab.evaluate(encode, given)}")
        until(other, "specviz.state.run")
        assert (
            "damaged" in other.inner_text("[data-error=prompt]")
            and other.evaluate("specviz.state.source") == "recorded"
        )


def test_a_trace_is_opened_by_its_address(chromium, home):
    """A link may name a trace anywhere on the web, which is shown as a file would be; any other address has its sentence."""
    context = chromium.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    page, wrong = watched(context, home)
    page.goto(home)
    until(page, "window.specviz?.live?.wire() && window.specviz.state.run")
    address = page.evaluate("specviz.boot.prompts.findLast(one => one.recorded && one.pair === 'small').recorded")
    page.goto(f"{home}#trace={quote(address, safe='')}")
    page.reload()
    until(page, "window.specviz?.state?.source === 'imported'")
    assert "Nothing was run" in page.inner_text(".sv .notice")
    assert page.evaluate("specviz.state.raw") == page.evaluate("url => fetch(url).then(got => got.text())", address)
    page.goto(f"{home}#trace=javascript:alert(1)")
    page.reload()
    until(page, "document.querySelector('.sv')?.textContent.includes('not one of the web')")
    context.close()
    assert wrong == []


def test_several_runs_in_one_replay(chromium, tmp_path, record):
    """One file, a button for each run, no server; what is seen is the run that was chosen."""
    first = Trace.from_json(RECORDED[0].read_text(encoding="utf-8"))
    path = tmp_path / "runs.html"
    exports.make("replay").write([first, record], path)
    context = chromium.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce", offline=True)
    page, wrong = watched(context, path.as_uri())
    page.goto(path.as_uri())
    until(page, "window.specviz?.state?.run")
    buttons = page.locator(".sv .ask .examples button")
    assert buttons.count() == 2 and page.evaluate("specviz.state.run.trace.seed") == first.seed
    buttons.nth(1).click()
    until(page, "prompt => specviz.state.run.trace.prompt === prompt", record.prompt)
    assert page.evaluate("specviz.state.run.lanes.length") == len(record.lanes)
    assert page.input_value("#sv-prompt") == record.prompt and buttons.nth(1).get_attribute("aria-pressed") == "true"
    context.close()
    assert wrong == []
