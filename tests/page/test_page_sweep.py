"""The sweep in the page: a run to its end, its numbers and its file, stopping, what it says to bad input, and how it looks."""

from __future__ import annotations

import csv
import io
import json
import re
import threading

import pytest

from specviz import rules, tasks
from specviz.engine.settings import Settings
from specviz.record import metrics
from specviz.study import sweep
from specviz.ui import sweeping
from specviz.ui.line import Turn, computed
from specviz.ui.regimes import REGIMES
from specviz.ui.requests import Refused
from tests.page.test_page import pytestmark  # noqa: F401  (where there is no pair)
from tests.support.browser import WIDTHS, beyond, serious, until, watched
from tests.support.desks import desk_of, idle, told

FEW = {
    "rules": ["sps", "cactus:delta=0.1,1"],
    "questions": 6,
    "families": ["chain", "reverse"],
    "temperature": 1.0,
    "draft_length": 3,
    "seed": 4,
}


def opened(page) -> None:
    page.click(".sections button:has-text('Sweep')")
    until(
        page,
        "document.querySelectorAll('.sweep .js-plotly-plot').length === 2 && document.querySelectorAll('.sweeptable tbody tr').length > 3",
    )


def fill(page, request: dict) -> None:
    page.evaluate("request => specviz.form.fill(request)", request)


def ended(page) -> None:
    until(page, "document.querySelector('.sweep').getAttribute('aria-busy') === 'false'")


def complaint(page) -> str:
    return " ".join(page.eval_on_selector_all(".sweep .error", "nodes => nodes.map(node => node.textContent)")).strip()


def table(page) -> dict[str, str]:
    rows = page.locator(".sweeptable tbody tr").all()
    return {row.get_attribute("data-point"): " ".join(row.inner_text().split()) for row in rows}


def saved(page) -> list[dict]:
    with page.expect_download() as given:
        page.click("text=Download CSV")
    return list(csv.DictReader(io.StringIO(open(given.value.path(), encoding="utf-8").read())))


def test_a_recorded_sweep_is_there_before_anyone_presses_run(tab):
    """Its numbers are in the table, both plots and the file, and it is of the settings that the form opens with."""
    opened(tab)
    recorded = json.loads(REGIMES[0].path.read_text(encoding="utf-8"))
    assert recorded["asked"] == sweeping.usual() == tab.evaluate("specviz.form.asked()")
    shown = table(tab)
    assert list(shown) == [row["rule"] for row in recorded["rows"]]
    for row in recorded["rows"]:
        figures = re.search(rf"{row['right']} of {row['questions']} (\S+) (\S+) to (\S+) ", shown[row["rule"]]).groups()
        assert [float(one) for one in figures] == pytest.approx(
            [100 * row[name] for name in ("accuracy", "accuracy_low", "accuracy_high")], abs=0.051
        )
    assert [float(one["accuracy"]) for one in saved(tab)] == [row["accuracy"] for row in recorded["rows"]]
    drafted = [row for row in recorded["rows"] if row["name"] != "plain"]
    for place, name, scale in ((1, "accuracy", 100), (2, "mean_kl", 1)):
        drawn = tab.evaluate(
            "place => document.querySelectorAll('.sweep .js-plotly-plot')[place - 1].data.flatMap(line => line.x.map((x, i) => [x, line.y[i], line.error_y.array[i], line.error_x.array[i]]))",
            place,
        )
        wanted = [
            [
                r["accepted_per_round"],
                scale * r[name],
                scale * (r[f"{name}_high"] - r[name]),
                r["accepted_per_round_high"] - r["accepted_per_round"],
            ]
            for r in drafted
        ]
        assert [one == pytest.approx(other) for one, other in zip(drawn, wanted, strict=True)] == [True] * len(drafted)
    tab.hover("[data-point='sps']")
    until(
        tab,
        "[...document.querySelectorAll('.sweep .hovertext')].filter(node => node.textContent.includes('86.3 % right')).length === 2",
    )
    heads = tab.locator(".sweeptable thead th[title]").all()
    assert [head.get_attribute("title") for head in heads[1:]] == [
        metrics.SWEEP[name]["definition"] for name in metrics.SWEEP
    ]
    assert "recorded" in tab.inner_text(".sweeptable thead") and "exact" in tab.inner_text(".sweeptable thead")


def test_a_sweep_runs_to_its_end(tab, pair):
    """Progress, rows as they complete, the very numbers of the engine, the file, and nothing moves meanwhile."""
    opened(tab)
    fill(tab, FEW)
    assert "4 settings × 6 questions = 24 texts" in tab.inner_text(".sweepsaid")
    tab.evaluate(
        """() => { window.seen = [];
          new MutationObserver(() => {
            const done = /^([\\d,]+) of/.exec(document.querySelector('.sweepsaid .num').textContent);
            const rows = [...document.querySelectorAll('.sweeptable tbody tr')];
            const full = rows.filter((row) => row.children[2].textContent !== '…').length;
            if (!done || !document.querySelector('.sweep .badge.measured')) return;
            window.seen.push([Number(done[1]), full, rows.length, ...['.sweeptable', '.sweep'].map((one) => document.querySelector(one).getBoundingClientRect().height)]);
          }).observe(document.querySelector('.sweepsaid'), { childList: true, characterData: true, subtree: true }); }"""
    )
    tab.click("text=Run sweep")
    until(tab, "document.querySelector('.sweep .badge.measured')")
    ended(tab)
    assert complaint(tab) == "" and "24 of 24 texts" in tab.inner_text(".sweepsaid")
    assert tab.get_attribute("[role=progressbar]", "aria-valuenow") == "100"
    seen = tab.evaluate("window.seen")
    assert seen[0][:2] == [0, 0] and seen[-1][:2] == [24, 4] and {one[2] for one in seen} == {4}
    assert len({one[3] for one in seen}) == len({one[4] for one in seen}) == 1, "no layout jump while it streams"
    *_, last = sweep.sweep(
        pair,
        [rule for spec in FEW["rules"] for rule in sweep.expand(spec)],
        tasks.items(FEW["families"], 6, 4),
        Settings(draft_length=3, seed=4),
    )
    assert saved(tab) == list(csv.DictReader(io.StringIO(sweep.csv_text(last.points))))
    shown = table(tab)
    for point in last.points:
        words = shown[point.row()["rule"]]
        assert (
            f"{point.right} of 6 {100 * point.accuracy.value:.1f}" in words
            and f"{point.emitted_per_round.value:.2f}" in words
        )
        assert (
            point.rule is None
            or f"{point.accepted_per_round.value:.2f} {point.accepted_per_round.low:.2f} to {point.accepted_per_round.high:.2f}"
            in words
        )
    assert tab.evaluate("document.querySelector('.sweep .js-plotly-plot').data.flatMap(line => line.x).length") == 3
    assert tab.evaluate("specviz.state.source") == "recorded", "the run at Compare is as it was"


def test_a_sweep_can_be_stopped_and_the_models_are_free_again(tab):
    opened(tab)
    fill(tab, FEW | {"questions": 900})
    tab.focus("[data-sweep=questions]")
    tab.keyboard.press("Control+Enter")
    until(
        tab, "document.querySelector('.sweep .js-plotly-plot').data.some(line => line.opacity < 0.5)"
    )  # the earlier one
    until(
        tab,
        "document.querySelector('.sweep .badge.measured') && /^[1-9]/.test(document.querySelector('.sweepsaid').textContent)",
    )
    assert tab.inner_text(".sweeprun .run") == "Stop"
    tab.click(".sections button:has-text('Compare')")
    tab.fill("[data-field=max_new_tokens]", "8")
    tab.click(".promptbox .run")
    until(tab, "document.querySelector('.ask .notice').textContent.includes('in the line')")
    tab.click(".sections button:has-text('Sweep')")
    tab.click(".sweeprun .run")
    ended(tab)
    until(tab, "specviz.state.source === 'live' && !specviz.state.live && specviz.state.raw")
    assert "What is complete stays" in tab.inner_text(".sweepsaid") and tab.inner_text(".sweeprun .run") == "Run sweep"
    assert set(table(tab)) >= {"plain", "sps"} and "…" not in tab.inner_text(".sweeptable")
    fill(tab, FEW | {"questions": 1, "rules": ["tas"]})
    tab.click("text=Run sweep")
    until(tab, "document.querySelector('.sweepsaid').textContent.includes('2 of 2 texts')")
    ended(tab)
    assert complaint(tab) == "" and list(table(tab)) == ["plain", rules.make("tas").spec]


def test_bad_input_gets_a_sentence_beside_its_field(tab):
    """Each names its control, is said there, and leaves what is on display alone."""
    opened(tab)
    before = table(tab)
    for change, control, sentence in (
        ({"questions": "many"}, "[data-sweep=questions]", "whole number from 1 to 4,000; got 'many'"), ({"questions": 2000}, "[data-sweep=questions]", "at most 1000 questions"), ({"temperature": 9}, "[data-sweep=temperature]", "from 0 to 5"),
        ({"draft_length": 0}, "[data-sweep=draft_length]", "from 1 to 32"), ({"seed": -1}, "[data-sweep=seed]", "seed must be from 0"), ({"rules": ["sps", "cactus:delta=0.1,99"]}, "[data-line='1']", "from 0 to 10 nats; got 99"),
        ({"rules": ["cactus:delta=a lot"]}, "[data-line='0']", "must be a number"), ({"rules": ["cactus:delta="]}, "[data-line='0']", "must be a number"), ({"families": []}, None, "at least one family"),
    ):  # fmt: skip
        fill(tab, FEW | change)
        tab.click("text=Run sweep")
        until(
            tab,
            "sentence => [...document.querySelectorAll('.sweep .error')].some(node => node.textContent.includes(sentence))",
            arg=sentence,
        )
        ended(tab)
        if control:
            assert (
                tab.get_attribute(control, "aria-invalid") == "true"
                and tab.locator(".sweep [aria-invalid]").count() == 1
            )
            assert sentence in tab.inner_text(f"#{tab.get_attribute(control, 'aria-describedby')}")
    assert table(tab) == before


def test_rules_and_families_are_chosen_by_hand(tab):
    """Lines come, change and go with the keyboard alone; a hostile value stays text; the address keeps it all."""
    opened(tab)
    tab.click("text=+ Add a rule")
    assert tab.evaluate("document.activeElement.value") == "lenience"
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Control+A")
    tab.keyboard.type("0.9, 0.5")
    tab.locator(".sweepline select").nth(0).select_option("mentored")
    tab.click("button[aria-label='Remove tas']")
    tab.click(".families button:has-text('sort')")
    asked = tab.evaluate("specviz.form.asked()")
    assert (
        asked["rules"]
        == ["mentored:budget=0.02,0.07,0.2,0.6", "cactus:delta=0.03,0.1,0.3,1,3", "lenience:factor=0.9,0.5"]
        and "sort" not in asked["families"]
    )
    assert "12 settings" in tab.inner_text(".sweepsaid")
    tab.locator("[data-line='2']").fill("<img src=x onerror=window.broken=1>")
    tab.wait_for_url(
        tab.evaluate("location.href")
    )  # the browser hears of it later than the page, and reloads what it heard of
    assert "#sweep=" in tab.url
    tab.reload()
    until(tab, "document.querySelector('[data-line=\"2\"]')")
    assert tab.evaluate("specviz.form.asked()") == asked | {
        "rules": [*asked["rules"][:2], "lenience:factor=<img src=x onerror=window.broken=1>"]
    }
    tab.evaluate(
        "() => { location.hash = 'sweep=' + specviz.share.encode({ rules: ['constructor', 'plain', null, 'sps'], questions: [], families: ['fish', 'days'] }); }"
    )
    until(tab, "specviz.form.asked().families.length === 1")
    assert tab.evaluate("specviz.form.asked()") == sweeping.usual() | {"rules": ["sps"], "families": ["days"]}
    assert "left out: rules, questions, families." in tab.inner_text(".sweeprun")
    tab.evaluate("() => { location.hash = 'sweep=%%%'; }")
    until(tab, "document.querySelector('.sweeprun .error').textContent.includes('damaged')")
    assert tab.evaluate("window.broken") is None
    tab.go_back()
    tab.click(".sections button:has-text('Compare')")
    assert tab.locator(".lanes").is_visible() and "#sweep" not in tab.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_width_holds_all_of_it(chromium, home, scheme):
    """From a small phone to a large screen nothing reaches beyond the right edge."""
    context = chromium.new_context(color_scheme=scheme, reduced_motion="reduce")
    page, wrong = watched(context, home)
    page.goto(home + "#sweep=")
    until(page, "document.querySelectorAll('.sweep .js-plotly-plot').length === 2")
    for width in WIDTHS:
        assert beyond(page, width) == []
    context.close()
    assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_can_be_used_by_all(chromium, home, scheme, width):
    """Nothing serious by axe, and touch targets that a thumb can hit."""
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    page, wrong = watched(context, home)
    page.goto(home + "#sweep=")
    until(page, "document.querySelectorAll('.sweep .js-plotly-plot').length === 2")
    assert serious(page) == []
    if width == 390:
        sizes = page.eval_on_selector_all(
            ".sweep button, .sweep select, .sweep input",
            "nodes => nodes.filter(n => n.offsetParent && !n.closest('.tools')).map(n => [n.outerHTML.slice(0, 80), n.getBoundingClientRect().height])",
        )
        assert [one for one in sizes if one[1] < 40] == []
    context.close()
    assert wrong == []


def messages(pair, request, desk=None):
    desk = desk or desk_of(lambda: pair)
    return told(desk, lambda turn: sweeping.compute(turn, request), kind="sweep")


def test_messages_say_everything_each_time(pair, monkeypatch):
    """Without a browser: any message but the last may be lost, and all are JSON."""
    monkeypatch.setattr(sweeping, "EVERY", 0.0)
    found = [m for m in messages(pair, FEW) if m["kind"] != "wait"]
    assert {m["kind"] for m in found} == {"sweep"} and [m["ended"] for m in found] == [False] * (len(found) - 1) + [
        True
    ]
    assert all(
        [p["rule"] for p in m["points"]]
        == ["plain", "sps", "cactus:delta=0.1,solver=taylor", "cactus:delta=1,solver=taylor"]
        and m["run"] == "a"
        for m in found
    )
    assert (
        [len(m["rows"]) for m in found] == sorted(len(m["rows"]) for m in found)
        and len(found[-1]["rows"]) == 4
        and found[-1]["message"] == ""
    )
    json.dumps(found, allow_nan=False)
    infinite = list(messages(pair, FEW | {"rules": ["interpolation"], "temperature": 0.0, "questions": 8}))[-1]
    json.dumps(infinite, allow_nan=False)


def test_a_sweep_ends_when_it_is_closed_stopped_or_late(pair):
    """The turn at the models is given back each time."""
    desk = desk_of(lambda: pair)
    steps = messages(pair, FEW | {"questions": 900}, desk)
    for message in steps:
        if message.get("done"):
            break
    steps.close()
    assert idle(desk)
    late = desk_of(lambda: pair, deadline=0.0)
    assert "longest a run may take" in list(messages(pair, FEW, late))[-1]["message"]
    stopped = threading.Event()
    stopped.set()
    few = computed(lambda turn: sweeping.compute(turn, FEW), Turn(pair, stopped))
    assert [m["message"] for m in few][-1].startswith("Stopped.")
    assert idle(desk) and idle(late)


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"rules": []}, "rules", "1 to 12"), ({"rules": "sps"}, "rules", "1 to 12"), ({"rules": ["sps", 7]}, "rules", "A rule is a text"), ({"rules": ["sps", "seven"]}, "rule1", "no acceptance rule"), ({"questions": True}, "questions", "whole number"), ({"questions": 2.5}, "questions", "whole number"),
        ({"draft_length": "auto"}, "draft_length", "fixed number"), ({"temperature": None}, "temperature", "must be a number"), ({"top_k": -1}, "top_k", "from 0"), ({"top_p": 0}, "top_p", "above 0"), ({"families": ["fish"]}, "families", "no task family"), ({"families": 3}, "families", "at least one"), ({"questions": 2000}, "questions", "8,000 texts"),
    ],
)  # fmt: skip
def test_odd_requests(change, field, says):
    with pytest.raises(Refused, match=says) as refused:
        sweeping.read(FEW | change)
    assert refused.value.field == field
