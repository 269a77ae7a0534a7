"""What a point of a sweep opens: the questions it won and lost, their texts, and the run that reproduces one. And the recorded
sweeps beside each other."""

from __future__ import annotations

import json
import re

import pytest

from specviz.ui.regimes import REGIMES
from tests.page.test_page import pytestmark  # noqa: F401  (where there is no pair)
from tests.page.test_page_sweep import opened, table
from tests.support.browser import beyond, serious, until

RULE = "cactus:delta=1,solver=taylor"


@pytest.fixture(scope="module")
def recorded() -> list[dict]:
    return [json.loads(regime.path.read_text(encoding="utf-8")) for regime in REGIMES]


def test_a_point_opens_its_questions(tab, recorded):
    """Won and lost first, with the numbers of the recording, both texts and where they part; Escape gives the focus back."""
    opened(tab)
    answers = recorded[0]["answers"]
    outcomes = answers["rules"][RULE]
    row = tab.locator(f"[data-point='{RULE}'] button")
    row.focus()
    tab.keyboard.press("Enter")
    until(tab, "document.querySelector('dialog.questions').open")
    heads = [text.split("\n")[0] for text in tab.locator(".questions h3").all_inner_texts()]
    for head, (title, name) in zip(
        heads, [("Won", "won"), ("Lost", "lost"), ("Other words, graded alike", "alike")], strict=True
    ):
        assert head.startswith(f"{title}: {outcomes[name]['count']}")
    number, text = next(iter(outcomes["won"]["texts"].items()))
    question = answers["questions"][number]
    first = tab.locator(".qitem").first
    assert first.evaluate("node => node.open") and question["prompt"] in first.inner_text()
    sides = [" ".join(side.split()) for side in first.locator(".qtext").all_text_contents()]
    assert sides == [" ".join(one.split()) for one in (question["text"], text)]
    commons, marks = (first.locator(f".qtext {part}").all_text_contents() for part in (".common", "mark"))
    assert commons[0] == commons[1] and marks[0] != marks[1] and question["text"].lstrip().startswith(commons[0])
    assert [one.strip() for one in first.locator(".graded").all_inner_texts()] == ["✗ wrong", "✓ right"]
    tab.keyboard.press("Escape")
    until(tab, "!document.querySelector('dialog.questions').open")
    assert row.evaluate("node => node === document.activeElement")
    point = tab.locator(".sweep .js-plotly-plot .scatterlayer .point").last.bounding_box()
    tab.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2)
    tab.mouse.down()
    tab.mouse.up()
    until(tab, "document.querySelector('dialog.questions').open")
    assert serious(tab) == []
    tab.set_viewport_size({"width": 390, "height": 844})
    assert beyond(tab, 390) == []
    tab.keyboard.press("Escape")


def test_a_question_is_run_again_in_compare(tab, recorded):
    """The link of a question that was lost reproduces both texts, token for token."""
    opened(tab)
    tab.click(f"[data-point='{RULE}'] button")
    number, text = next(iter(recorded[0]["answers"]["rules"][RULE]["lost"]["texts"].items()))
    question = recorded[0]["answers"]["questions"][number]
    item = tab.locator(".questions section[aria-label='Lost'] .qitem").first
    item.locator("summary").click()
    link = item.locator("a").get_attribute("href")
    tab.goto("about:blank")
    tab.goto(link)
    until(tab, "specviz?.state?.source === 'live' && !specviz.state.live && specviz.state.raw")
    written = tab.evaluate(
        "specviz.state.run.lanes.map(lane => lane.tokens.filter(token => !token.cut).map(token => token.shown).join(''))"
    )
    assert [one.strip() for one in written] == [question["text"].strip(), text.strip()]


def test_the_recorded_sweeps_stand_beside_each_other(tab, recorded):
    """One is chosen above the figure; the form follows, the solvers are lines of their own, and the sentences are there."""
    opened(tab)
    tab.click(f".regimes button:has-text('{REGIMES[1].title}')")
    until(tab, "document.querySelectorAll('.sweeptable tbody tr').length === 13")
    assert list(table(tab)) == [row["rule"] for row in recorded[1]["rows"]]
    assert tab.evaluate("specviz.form.asked()") == REGIMES[1].asked
    assert tab.locator(".regimes .caption").all_inner_texts() == list(REGIMES[1].about)
    names = tab.evaluate("document.querySelector('.sweep .js-plotly-plot').data.map(line => line.name)")
    assert {"cactus taylor", "cactus exact"} <= set(names)
    rows = table(tab)
    assert all(
        re.search(f"solver {one['knobs']['solver']}", rows[one["rule"]])
        for one in recorded[1]["rows"]
        if one["name"] == "cactus"
    )
    tab.click(f".regimes button:has-text('{REGIMES[0].title}')")
    until(tab, "document.querySelectorAll('.sweeptable tbody tr').length === 10")
    assert tab.evaluate("specviz.form.asked()") == REGIMES[0].asked


def test_a_knob_of_words_is_a_dimension(tab):
    """Both solvers of a rule are a setting each; one of them is always on."""
    opened(tab)
    solver = tab.locator(".wordknob[aria-label='cactus: solver']")
    solver.locator("button:has-text('exact')").click()
    asked = tab.evaluate("specviz.form.asked()")["rules"]
    assert asked[1] == "cactus:delta=0.03,0.1,0.3,1,3,solver=taylor,exact" and "15 settings" in tab.inner_text(
        ".sweepsaid"
    )
    for word in ("taylor", "exact"):
        solver.locator(f"button:has-text('{word}')").click()
    assert tab.evaluate("specviz.form.asked()")["rules"][1].endswith("solver=exact")


def test_what_is_said_of_the_recordings_is_so(recorded):
    """Every number in the sentences is in the recording, and what they conclude holds there. Both files stay below 1 MB."""
    rows = [{row["rule"]: row for row in one["rows"]} for one in recorded]
    said = [" ".join(regime.about) for regime in REGIMES]
    for regime, one in zip(REGIMES, recorded, strict=True):
        assert one["asked"] == regime.asked and regime.path.stat().st_size < 1_000_000
    trained, paper = rows
    for rule in ("plain", RULE):
        assert f"{trained[rule]['right']} of 160" in said[0]
    assert f"keeps {trained['sps']['accepted_per_round']:.2f} of 4" in said[0]
    assert trained[RULE]["against_plain_high"] < 0
    most = max(row["accepted_per_round"] for row in paper.values() if row["accepted_per_round"])
    assert f"from {paper['sps']['accepted_per_round']:.2f} to {most:.2f}" in said[1]
    for row in paper.values():  # no rule is measurably worse than the verifier alone
        assert row["name"] == "plain" or row["against_plain_low"] <= 0 <= row["against_plain_high"]
