"""Who drafts: the control among the settings, the run it makes, and where that run goes from there. Traces of version 1
knew no drafters, and a trace may name no draft model at all."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import pytest

from specviz import drafters, rules
from specviz.backends import Pair
from specviz.engine.settings import Settings
from specviz.record.running import run as begin
from specviz.record.trace import Trace
from specviz.ui import runs
from specviz.view.boot import drafter_words
from tests.conftest import QUESTION
from tests.page.test_page import pytestmark, run, texts  # noqa: F401  (pytestmark: where nothing is recorded)
from tests.page.test_page_bad_input import page_of, visit
from tests.page.test_page_fork import ON, ROUND_START
from tests.support.browser import WIDTHS, beyond, serious, until, watched
from tests.support.desks import desk_of, idle, told
from tests.support.traces import of_version_1, replay, signed

SETTLED = "specviz.state.source === 'live' && !specviz.state.live && specviz.state.raw"
SAID = """lanes => lanes.map(lane => [lane.querySelector(".by select").selectedOptions[0].textContent,
  ...[...lane.querySelectorAll(".ofdrafter summary")].map(node => node.textContent)].join(" "))"""
FORM = "JSON.stringify(specviz.state.form.drafter)"


def choose(page, name: str, **knobs) -> None:
    """Chooses a drafter and types its knobs."""
    page.select_option("[data-field=drafter]", name)
    for knob, value in knobs.items():
        page.get_by_label(f"{name} {knob}", exact=True).fill(str(value))
        page.keyboard.press("Tab")


def record_of(page) -> Trace:
    return Trace.from_json(page.evaluate("specviz.state.raw"))


def said(page) -> list[str]:
    """What the heads of the lanes say about their drafters: a name, and the knobs of one of their own."""
    return page.eval_on_selector_all(".lane:has(.by)", SAID)


def opened(page, path, text: str, lanes: int) -> None:
    """Opens a trace of so many lanes from a file."""
    path.write_text(text, encoding="utf-8")
    page.set_input_files("#sv-file", path)
    until(page, "n => specviz.state.source === 'imported' && specviz.state.run.lanes.length === n", arg=lanes)


@pytest.fixture(scope="module")
def mixed(pair) -> Trace:
    """A run whose lanes have different drafters."""
    made = [
        Settings(rules.parse(rule), drafter=drafters.parse(drafter), max_new_tokens=30, seed=2)
        for rule, drafter in (("sps", "model"), ("sps", "ngram:longest=2"), ("tas", "ngram:longest=5"))
    ]
    return begin(pair, QUESTION, made, style="task").finish()


def verifier_alone(trace: Trace) -> Trace:
    """The same run as if only a verifier had been loaded."""
    return replace(trace, models={"verifier": trace.models["verifier"]})


def test_the_page_knows_every_drafter_that_drafts():
    """With the words and knobs of the drafter itself, and without the one that stands for plain decoding."""
    words = drafter_words()
    assert list(words) == [name for name in drafters.names() if drafters.make(name).drafts] and "nothing" not in words
    for name, said_of_it in words.items():
        drafter = drafters.make(name)
        assert (said_of_it["summary"], said_of_it["source"]) == (drafter.summary, drafter.source)
        assert all(knob["allowed"] and knob["help"].endswith(".") for knob in said_of_it["knobs"])
    assert [knob["name"] for knob in words["ngram"]["knobs"]] == ["longest", "shortest"]


def test_a_drafter_is_chosen_runs_verifies_and_is_exported(tab, tmp_path):
    """Its tokens are kept, the record, the lanes and the models' line say who drafted, and the replay says the same."""
    offered = tab.eval_on_selector_all("[data-field=drafter] option", "nodes => nodes.map(node => node.value)")
    assert offered == [name for name, words in drafter_words().items() if not words["uses_lookahead"]]
    assert (
        tab.input_value("[data-field=drafter]") == "model"
        and said(tab) == ["model"] * 3
        and "Draft " in tab.inner_text(".lanetools")
    )
    tab.fill("#sv-prompt", QUESTION)
    choose(tab, "ngram")
    about = drafter_words()["ngram"]
    assert about["summary"] in tab.inner_text(".ask") and about["source"] in tab.inner_text(".ask")
    tab.get_by_label("ngram longest, slider").fill("200")
    assert tab.input_value("[aria-label='ngram longest']") == "4", "the slider has 1000 steps, from 1 to 16"
    run(tab, max_new_tokens=40, seed=6, draft_length=3)
    record = record_of(tab)
    assert [lane.drafter.spec for lane in record.lanes] == ["ngram:longest=4,shortest=1"] * 3 + ["nothing"]
    assert sum(round_.kept for lane in record.lanes for round_ in lane.rounds) > 0
    assert tab.locator(".lane .t.accepted, .lane .t.relaxed").count() > 0
    assert said(tab) == ["ngram"] * 3 and "no draft model" in tab.inner_text(".lanetools")
    assert tab.input_value("[data-field=drafter]") == "ngram" and tab.input_value("[aria-label='ngram longest']") == "4"
    tab.click("text=Open")
    tab.click("text=Re-run and verify")
    until(tab, "document.querySelector('.notice').textContent.startsWith('Reproduced')")

    tab.click("text=Export")
    with tab.expect_download() as download:
        tab.click("[role=menuitem] >> text=Replay")
    path = tmp_path / "replay.html"
    download.value.save_as(path)
    file, wrong = watched(tab.context.browser, path.as_uri())
    file.goto(path.as_uri())
    file.wait_for_selector(".sv .lane .t")
    assert said(file) == said(tab) and file.input_value("[data-field=drafter]") == "ngram"
    assert file.locator(".drafter select:enabled, .drafter input:enabled").count() == 0, "a replay sets nothing"
    file.close()
    assert [line for line in wrong if "file:" not in line] == []

    choose(tab, "model")
    assert about["summary"] not in tab.inner_text(".ask") and tab.locator(".drafter .knob").count() == 1
    run(tab)
    assert [lane.drafter.spec for lane in record_of(tab).lanes] == ["model:tokens=drawn"] * 3 + ["nothing"]
    assert said(tab) == ["model"] * 3


def test_going_on_from_a_place_keeps_the_drafter(tab):
    """A re-run from a token of a run by ngram is by ngram, and writes the same text."""
    tab.fill("#sv-prompt", QUESTION)
    choose(tab, "ngram", longest=4)
    run(tab, max_new_tokens=32, seed=5)
    before = tab.evaluate("specviz.store.text(specviz.state.run.lanes[0])")
    tab.evaluate(
        "() => { const { rounds } = specviz.state.run.lanes[0]; specviz.pick(0, rounds[Math.floor(rounds.length / 2)].first); }"
    )
    tab.locator(".goon .outlined").first.click()
    until(tab, ON)
    record = record_of(tab)
    assert {lane.drafter.spec for lane in record.lanes if lane.rule} == {"ngram:longest=4,shortest=1"}
    assert (
        tab.evaluate("specviz.continued.givenText(specviz.state.run) + specviz.store.text(specviz.state.run.lanes[0])")
        == before
    )


SURE = """() => { const { run } = specviz.state, { rounds, tokens } = run.lanes[0];
  const token = tokens.find(one => one.fate === 'accepted' && specviz.store.detail(run, one).slice.verifier.some((q, i) => q === 0 && specviz.store.detail(run, one).slice.draft[i] === 0));
  if (token) specviz.pick(0, token.key); return Boolean(token); }"""


def test_tokens_that_nobody_would_say_are_not_offered(tab):
    """Where a copied token meets a verifier that is sure of it, the slice is filled up with tokens of no probability."""
    tab.fill("#sv-prompt", QUESTION)
    choose(tab, "ngram")
    run(tab, max_new_tokens=40, seed=6, temperature=0.6, top_k=20)
    assert tab.evaluate(SURE), "this run has such a place"
    offered = tab.eval_on_selector_all(".goon .chip", "nodes => nodes.map(node => node.title)")
    assert [chances for chances in offered if "verifier 0 %, draft 0 %" in chances] == []


def test_a_link_restores_the_drafter(tab, chromium):
    """With its knobs, and with the run that they make; a link to a recorded run names the drafter of that run."""
    tab.fill("#sv-prompt", QUESTION)
    choose(tab, "ngram", longest=2)
    run(tab, max_new_tokens=24, seed=3)
    other = chromium.new_page()
    other.goto(tab.evaluate("specviz.share.link()"))
    until(other, SETTLED)
    assert other.evaluate(FORM) == tab.evaluate(FORM) == '{"name":"ngram","knobs":{"longest":2,"shortest":1}}'
    assert texts(other) == texts(tab) and said(other) == ["ngram"] * 3
    other.close()


def link(page, **change) -> str:
    """A link to the settings of the form, changed, as any version of the page may have made it."""
    value = {"v": 1, **page.evaluate("specviz.controls.settings()"), **change}
    value = {name: one for name, one in value.items() if one != "left out"}
    return f"{page.url.split('#')[0]}#run={page.evaluate('value => specviz.share.encode(value)', value)}"


def test_links_from_before_there_were_drafters_mean_the_model(tab, chromium):
    """Also where the recorded run that they name is already there; and a link to an unknown drafter is ignored."""
    choose(tab, "ngram")
    cases = [
        ({"drafter": "left out"}, "recorded", "model"),
        ({"drafter": "left out", "seed": 77, "max_new_tokens": 8}, "live", "model"),
        ({"seed": 77, "max_new_tokens": 8}, "live", "ngram"),
    ]
    for change, source, name in cases:
        other = chromium.new_page()
        other.goto(link(tab, **change))
        until(
            other, "source => specviz.state.source === source && !specviz.state.live && specviz.state.raw", arg=source
        )
        assert other.input_value("[data-field=drafter]") == name
        assert other.evaluate("specviz.state.run.lanes[0].drafter.name") == name
        other.close()
    for change in ({"name": "magic"}, {"name": "__proto__"}, {"name": "nothing"}):
        other = chromium.new_page()
        other.goto(link(tab, drafter=change))
        until(other, "window.specviz?.state?.run")
        assert "names a drafter that does not exist here" in other.inner_text("[data-error=prompt]")
        assert other.evaluate("specviz.state.source") == "recorded"
        other.close()


def test_a_drafter_that_cannot_be_used_has_its_sentence_beside_it(tab):
    """And the run on display stays; the sentence goes when something else is chosen."""
    before = texts(tab)
    for value, sentence in (
        ("99", "longest must be from 1 to 16 tokens; got 99"),
        ("far", "must be a number"),
        ("2.5", "whole number"),
    ):
        choose(tab, "ngram", longest=value)
        tab.click(".run")
        until(tab, "text => document.querySelector('[data-error=drafter]').textContent.includes(text)", arg=sentence)
        assert tab.get_attribute("[data-field=drafter]", "aria-invalid") == "true"
        assert tab.inner_text("[data-error=prompt]") == "" and texts(tab) == before
    choose(tab, "model")
    assert (
        tab.inner_text("[data-error=drafter]") == ""
        and tab.get_attribute("[data-field=drafter]", "aria-invalid") == "false"
    )


def test_without_a_draft_model_only_what_needs_none_can_run(chromium, pair):
    """Where only a verifier is loaded: the model cannot draft, and says so beside the control; ngram can, and its run can be
    gone on from; nothing on the page needs a draft model to be there."""
    with (
        page_of(lambda: Pair(None, pair.verifier, pair.tokenizer, pair.styles)) as (url, _),
        visit(chromium, url) as tab,
    ):
        before = texts(tab)
        tab.click(".run")
        until(tab, "document.querySelector('[data-error=drafter]').textContent.includes('only a verifier is loaded')")
        assert texts(tab) == before
        tab.fill("#sv-prompt", QUESTION)
        choose(tab, "ngram", longest=4)
        run(tab, max_new_tokens=24, seed=6)
        record = record_of(tab)
        assert set(record.models) == {"verifier"} and sum(r.kept for lane in record.lanes for r in lane.rounds) > 0
        assert "no draft model" in tab.inner_text(".lanetools") and tab.inner_text("[data-error=drafter]") == ""
        tab.evaluate("specviz.pick(0, specviz.state.run.lanes[0].rounds[5].first)")
        tab.locator(".goon .outlined").first.click()
        until(tab, ON)
        tab.click("text=Open")
        tab.click("text=Re-run and verify")
        until(tab, "document.querySelector('.notice').textContent.startsWith('Reproduced')")


def test_a_trace_without_a_draft_model_opens_is_read_and_goes_on(tab, mixed, tmp_path):
    """Made where only a verifier was loaded, opened where both are: the page shows it, and can go on from its tokens."""
    lanes = mixed.lanes[1:]
    opened(tab, tmp_path / "trace.json", verifier_alone(replace(mixed, lanes=lanes)).to_json(), len(lanes))
    tab.evaluate("specviz.pick(0, specviz.state.run.lanes[0].rounds[2].first)")
    assert "no draft model" in tab.inner_text(".lanetools") and "revisions" in tab.inner_text(".colophon")
    tab.locator(".plots").first.scroll_into_view_if_needed()
    until(tab, "document.querySelectorAll('.plots.upper .js-plotly-plot').length === 2")
    tab.locator(".goon .outlined").first.click()
    until(tab, ON)


def test_lanes_with_drafters_of_their_own_keep_them(tab, mixed, tmp_path):
    """Their heads say so, a run and a link hand each lane its own, and the control is for the lanes that have none."""
    opened(tab, tmp_path / "trace.json", mixed.to_json(), 3)
    assert tab.evaluate(FORM) == '{"name":"model","knobs":{"tokens":"drawn"}}' and said(tab) == [
        "model",
        "ngram longest 2",
        "ngram longest 5",
    ]
    kept = tab.evaluate(ROUND_START, [0, 6])
    tab.locator(".goon .outlined").first.click()
    until(tab, ON)
    record = record_of(tab)
    specs = [lane.drafter.spec for lane in mixed.lanes]
    assert [lane.drafter.spec for lane in record.lanes][:3] == specs and record.continued.position == len(
        mixed.prompt_tokens
    ) + kept
    other = tab.context.new_page()
    other.goto(tab.evaluate("specviz.share.link()"))
    until(other, ON)
    assert [lane.drafter.spec for lane in record_of(other).lanes][:3] == specs and texts(other) == texts(tab)
    other.close()
    choose(tab, "ngram", longest=1)
    run(tab, max_new_tokens=8)
    assert [lane.drafter.spec for lane in record_of(tab).lanes][:3] == ["ngram:longest=1,shortest=1", *specs[1:]]
    tab.get_by_label("Drafter of lane 2").select_option("")
    assert said(tab) == ["ngram", "ngram", "ngram longest 5"]
    assert "drafted by ngram, longest 2" in tab.inner_text(".lane:nth-child(2) .drafted"), "what is on display was"
    run(tab, max_new_tokens=8)
    assert [lane.drafter.spec for lane in record_of(tab).lanes][:3] == [
        "ngram:longest=1,shortest=1",
        "ngram:longest=1,shortest=1",
        specs[2],
    ]


def test_a_trace_of_version_1_opens_replays_and_verifies(tab, record, chromium, tmp_path):
    """It names no drafter and means the model; what is shown is what the same run of today shows."""
    seen = []
    for text in (record.to_json(), of_version_1(record)):
        opened(tab, tmp_path / "trace.json", text, len(record.lanes))
        until(tab, "text => specviz.state.raw === text", arg=text)
        seen.append([texts(tab), tab.evaluate(FORM), said(tab), tab.inner_text(".lanetools")])
        page_file = tmp_path / "replay.html"
        page_file.write_text(replay(text), encoding="utf-8")
        page, wrong = watched(chromium, page_file.as_uri())
        page.goto(page_file.as_uri())
        page.wait_for_selector(".sv .lane .t")
        page.evaluate("specviz.setTime(Infinity)")
        assert texts(page) == texts(tab)
        page.close()
        assert [line for line in wrong if "file:" not in line] == []
    assert (
        seen[0] == seen[1]
        and json.loads(seen[1][1]) == {"name": "model", "knobs": {"tokens": "drawn"}}
        and set(seen[1][2]) == {"model"}
    )


def test_versions_are_verified_alike(record, pair):
    """Without a browser: the trace of either version reproduces, and one by another drafter does not."""
    desk = desk_of(lambda: pair)

    def verified(text):
        return list(told(desk, partial(runs.verified, text=text), kind="verify"))[-1]

    for text in (record.to_json(), of_version_1(record)):
        last = verified(text)
        assert last["same"] and last["message"].startswith("Reproduced"), last
    data = json.loads(record.to_json())
    data["lanes"][1]["drafter"] = "ngram:longest=3"
    last = verified(signed(data))
    assert not last["same"] and "differs first" in last["message"]
    many = replace(record, lanes=record.lanes * 2)
    assert "at most 5 are re-run" in verified(many.to_json())["message"]
    assert "not JSON" in verified("hello")["message"] and idle(desk)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_the_control_fits_and_can_be_used_by_all(chromium, home, scheme, width):
    """With a drafter that has a knob chosen: nothing out of sight at any width, nothing serious by axe, targets that a
    thumb can hit."""
    context = chromium.new_context(
        viewport={"width": width, "height": 844}, color_scheme=scheme, reduced_motion="reduce"
    )
    page, wrong = watched(context, home)
    page.goto(home)
    until(page, "window.specviz?.live?.wire() && specviz.state.run")
    if width == 390:
        page.click(".settingsbox summary")
    choose(page, "ngram")
    assert serious(page) == []
    heights = page.eval_on_selector_all(
        ".drafter select, .drafter input", "nodes => nodes.map(node => node.getBoundingClientRect().height)"
    )
    assert len(heights) == 4 and (width > 390 or min(heights) >= 40)
    for wide in WIDTHS if width > 390 else ():
        assert beyond(page, wide) == []
    context.close()
    assert wrong == []
