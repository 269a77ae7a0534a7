"""Lanes with drafters of their own, and where their tokens came from: what was copied lights up where it stands."""

from __future__ import annotations

import re

from specviz.record.trace import Trace
from tests.page.test_page import pytestmark, run  # noqa: F401  (pytestmark: where nothing is recorded)
from tests.page.test_page_drafter import SETTLED, record_of, said
from tests.support.browser import beyond, serious, until, watched
from tests.support.traces import replay

# What a verifier of stories says again and again; the markup must stay text.
PROMPT = "<b onclick=alert(1)>Tom has 4 cats. Tom has 4 cats. Tom has 4 cats.</b>"
COLUMNS = """rules => { specviz.state.columns = rules.map(([rule, drafter]) => ({ rule, knobs: specviz.defaults(rule), from: null,
  drafter: drafter && specviz.drafters.parse(drafter) })); specviz.emit('columns'); }"""
# What is lit: in the lane, in the prompt, in what is said of the token; each as one text.
LIT = """() => ['.text .lit', '.promptmarks .lit', '.inspector .passage :is(.lit, .here)'].map(
  where => [...document.querySelectorAll(`.sv ${where}`)].map(node => node.textContent).join(''))"""


def copies(trace: Trace, lane: int) -> list[tuple[int, list[int], int]]:
    """(key of the token on the page, indices of the whole span, its own index) of every copied token of a lane."""
    found, key = [], 0
    for round_ in trace.lanes[lane].rounds:
        places = [known.copied_from for known in round_.provenance]
        for slot, place in enumerate(places):
            if place is not None:
                first, last = slot, slot
                while first and places[first - 1] == places[first] - 1:
                    first -= 1
                while last + 1 < len(places) and places[last + 1] == places[last] + 1:
                    last += 1
                found.append((key + slot, list(range(places[first], places[last] + 1)), place))
        key += len(round_.drafted) + (round_.origin is not None)
    return found


def written(trace: Trace, lane: int, places: list[int]) -> str:
    """The text that stands there."""
    text = [*trace.prompt_tokens, *trace.lanes[lane].tokens]
    return "".join(trace.pieces[str(text[place])] for place in places)


def shown(text: str) -> str:
    """Without what the page shows in its own way: spaces and line breaks."""
    return re.sub(r"[\s␣⏎]", "", text)


def in_lane(trace: Trace, lane: int, key: int, places: list[int]) -> list[int]:
    """Those of the places that the lane wrote itself, rather than the prompt."""
    return [place for place in places if place >= len(trace.prompt_tokens)]


def lights_up(page, trace: Trace, lane: int) -> int:
    """Selects every fifth copied token of a lane and holds what is lit against the trace; how many were from the prompt."""
    prompt = 0
    for key, places, _ in copies(trace, lane)[::5]:
        page.evaluate("at => specviz.pick(...at)", [lane, key])
        text, typed, passage = map(shown, page.evaluate(LIT))
        own = in_lane(trace, lane, key, places)
        assert passage == shown(written(trace, lane, places))
        assert text == shown(written(trace, lane, own))
        assert typed == shown(written(trace, lane, [place for place in places if place not in own]))
        prompt += not own
    page.evaluate("specviz.pick(null)")
    assert page.evaluate(LIT) == ["", "", ""]
    return prompt


def test_three_drafters_side_by_side(tab):
    """One button: three lanes of one rule, each by another drafter, which run, are named by it, and are code and a link."""
    tab.fill("#sv-prompt", PROMPT)
    tab.evaluate(COLUMNS, [["sps", None]])
    tab.fill("[data-field=max_new_tokens]", "24")
    tab.get_by_label("Compare drafters").click()
    until(tab, SETTLED)
    lanes = [lane for lane in record_of(tab).lanes if lane.rule is not None]
    names = [lane.drafter.name for lane in lanes]
    assert len(set(names)) == 3 and {lane.rule.name for lane in lanes} == {"sps"} and names[0] == "model"
    assert [words.split()[0] for words in said(tab)] == names
    assert tab.evaluate("specviz.state.columns.map(specviz.titleOf)") == names
    tab.click("text=Export")
    tab.click("[role=menuitem] >> text=Code")
    code = tab.inner_text("[data-code='Command line']")
    assert "--rule sps \\" in code and all(f"--rule sps@{lane.drafter.spec}" in code for lane in lanes[1:])
    tab.keyboard.press("Escape")
    for title in ("Agreement against cost", "Kept by drafter"):
        plot = tab.locator("section.plot", has=tab.get_by_role("heading", name=title))
        plot.scroll_into_view_if_needed()
        until(
            tab, "title => specviz.plots.cards.some(card => card.title === title && card.graph.data?.length)", arg=title
        )
    tab.get_by_role("button", name="by match").click()
    until(tab, "specviz.plots.cards.some(card => card.mode === 'match' && card.graph.data?.length)")


def test_what_a_token_was_copied_from_lights_up(tab, chromium, tmp_path):
    """Of tokens copied from the prompt and from the text, live and in a replay on a phone; in a hybrid lane each token is
    marked with the drafter that proposed it; markup stays text."""
    tab.fill("#sv-prompt", PROMPT)
    tab.evaluate(COLUMNS, [["sps", "ngram:longest=99"], ["sps", "hybrid:shortest=1"]])
    tab.click(".run")
    until(tab, "document.querySelector('[data-error=lane0]').textContent.includes('longest must be from 1 to 16')")
    tab.evaluate(COLUMNS, [["sps", "ngram:longest=4"], ["sps", "hybrid:shortest=1"]])
    run(tab, max_new_tokens=48, seed=4)
    trace = record_of(tab)
    assert (
        lights_up(tab, trace, 0) > 0 and len(in_lane(trace, 0, 0, [p for _, ps, _ in copies(trace, 0) for p in ps])) > 0
    )
    lights_up(tab, trace, 1)
    assert tab.locator(".sv .passage b, .sv .promptmarks b, .sv .text b").count() == 0

    by = [known.by for round_ in trace.lanes[1].rounds for known in round_.provenance]
    counts = {name: by.count(name) for name in dict.fromkeys(by)}
    marked = [tab.locator(f".lane:nth-child(2) .text .voice{i}").count() for i in range(len(counts))]
    assert marked == list(counts.values()) and tab.locator(".lane:nth-child(1) .text .voiced").count() == 0
    legend = tab.inner_text(".lane:nth-child(2) .voices")
    assert all(f"{name} ({100 * count / len(by):.0f} %)" in legend for name, count in counts.items())

    key, places, place = copies(trace, 0)[0]
    tab.locator(f".text[data-lane='0'] [data-k='{key}'] bdi").hover()
    card = tab.inner_text(".sv-card")
    assert "Copied from the prompt" in card and shown(written(trace, 0, places)) in shown(card)
    assert serious(tab) == []

    file = tmp_path / "replay.html"
    file.write_text(replay(tab.evaluate("specviz.state.raw")), encoding="utf-8")
    context = chromium.new_context(viewport={"width": 390, "height": 844}, reduced_motion="reduce", has_touch=True)
    page, wrong = watched(context, file.as_uri())
    page.goto(file.as_uri())
    page.wait_for_selector(".sv .lane .t")
    page.evaluate("specviz.setTime(Infinity)")
    assert said(page) == ["ngram", said(tab)[1]], "the form has the drafter of the first lane"
    assert lights_up(page, trace, 0) > 0
    page.locator(f".text[data-lane='0'] [data-k='{key}'] bdi").tap()
    page.locator(".inspector .passage .here").wait_for()
    assert page.locator(".by select:enabled, .ofdrafter input:enabled").count() == 0, "a replay sets nothing"
    assert beyond(page, 390) == []
    context.close()
    assert [line for line in wrong if "file:" not in line] == []
