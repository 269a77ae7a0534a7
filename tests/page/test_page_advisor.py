"""Which setting should I use? The advisor in the page: its numbers, its checks, and what it says to bad questions."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from specviz import drafters, rules
from specviz.study import advise, shapes
from specviz.ui import advice
from specviz.ui.requests import Refused
from tests.page.test_page import pytestmark, run  # noqa: F401  (pytestmark: where there is no pair)
from tests.page.test_page_bad_input import page_of, visit
from tests.support.browser import until
from tests.support.traces import signed


def ask(page, goal: str, value: str) -> None:
    page.fill(f"[data-goal={goal}]", value)
    page.click("text=Find settings")
    until(page, "document.querySelector('.advisor').getAttribute('aria-busy') !== 'true'")


def complaint(page) -> str:
    return " ".join(
        page.eval_on_selector_all(".advisor .error", "nodes => nodes.map(node => node.textContent)")
    ).strip()


def test_the_table_is_the_advice_and_a_row_can_be_used_and_checked(tab, pair):
    run(tab, max_new_tokens=24, seed=2, draft_length=4)
    raw = tab.evaluate("specviz.state.raw")
    ask(tab, "spend", "0.1")
    assert complaint(tab) == ""
    wanted = advice.answer(json.dumps({"trace": raw, "goal": "spend", "value": 0.1, "draft_length": 4}), pair)
    shown = {row.get_attribute("data-row"): row for row in tab.locator(".advice tbody tr").all()}
    assert set(shown) == {row["name"] for row in wanted["rows"]} and "sps" in shown
    for row in wanted["rows"]:  # the speed-up depends on the clock, the rest on the texts alone
        words = shown[row["name"]].inner_text()
        assert (
            f"{row['kept']:.2f}" in words
            and f"{row['interval'][0]:.2f} to {row['interval'][1]:.2f}" in words
            and row["kl"] <= 0.1
        )
    heads = tab.locator(".advice thead").inner_text()
    assert heads.count("estimated") == 2 and "exact" in heads and "measured" in heads
    assert all(name in tab.inner_text(".advisor .aside") for name in wanted["missing"])

    row = next(row for row in wanted["rows"] if row["name"] == "cactus")
    button = tab.locator("[data-row=cactus] .outlined")
    assert button.inner_text() == "Set in lane 3"
    button.click()
    assert tab.evaluate("specviz.state.columns[2].knobs") == row["knobs"]
    assert tab.locator(".lane:nth-child(3) .whatif").is_visible(), "the run on display is recoloured at once"
    other = next(name for name in shown if name not in ("sps", "tas", "cactus"))
    button = tab.locator(f"[data-row={other}] .outlined")
    assert button.inner_text() == "Add as lane 4"
    button.click()
    assert tab.evaluate("specviz.state.columns.map(column => column.rule)") == ["sps", "tas", "cactus", other]
    assert tab.evaluate("specviz.state.raw") == raw, "nothing has run"

    before = tab.evaluate("specviz.state.run.lanes.length")
    tab.locator("[data-row=cactus] .try").click()
    tab.wait_for_selector("[data-row=cactus] td.real b")
    request = {name: row[name] for name in ("rule", "drafter", "draft_length", "interval")} | {
        "trace": raw,
        "attempt": 1,
    }
    tried = advice.tried(json.dumps(request), pair)
    words = tab.inner_text("[data-row=cactus] td.real")
    assert f"{tried['kept']:.2f}" in words and ("inside" if tried["inside"] else "outside") in words
    assert tried["inside"] == (row["interval"][0] <= tried["kept"] <= row["interval"][1])
    assert tab.evaluate("specviz.state.run.lanes.length") == before

    ask(tab, "accept", "1")
    assert "at least 1" in tab.inner_text(".advisor .lead").lower()
    kls = [
        float(text)
        for text in tab.eval_on_selector_all(
            ".advice td[data-label=divergence] b",
            "nodes => nodes.map(node => node.textContent.replace('∞', 'Infinity').replace('−', '-'))",
        )
    ]
    assert kls == sorted(kls)
    ask(tab, "accept", "4.5")
    assert "No setting of any rule reaches this" in tab.inner_text(".advisor .advised")


def test_the_fastest_drafter_is_found_and_used_in_all_lanes(tab, pair):
    """The table is the advice, a row at a time; a row puts its drafter and length into the form and into every lane. A stop
    keeps the rows that are complete, and says which drafters were not read."""
    run(tab, max_new_tokens=24, seed=2, draft_length=4)
    able = [drafter.name for drafter in advise.able(pair)]
    tab.get_by_label("The fastest drafter").check()
    tab.click("text=Find settings")
    until(tab, "document.querySelector('.advice tbody tr')")
    tab.click(".advisor .question >> text=Stop")
    until(tab, "document.querySelector('.advisor').getAttribute('aria-busy') !== 'true'")
    rows = tab.locator(".advice tbody tr").count()
    unread = re.search(r"Not read: (.*?)\.", tab.inner_text(".advisor .aside"))
    assert 1 <= rows and [*able[:rows], *(unread[1].split(", ") if unread else [])] == able
    assert not unread or "Stopped" in tab.inner_text(".advisor .notice")

    tab.click("text=Find settings")
    until(tab, "document.querySelector('.advisor').getAttribute('aria-busy') !== 'true'")
    assert complaint(tab) == ""
    asked = json.dumps({"trace": tab.evaluate("specviz.state.raw"), "draft_length": 4})
    *parts, whole = (message["answer"] for message in advice.drafter_messages(asked, pair))
    assert [len(part["rows"]) for part in parts] == list(range(len(able) + 1)) and parts[0]["left"] == able
    assert whole["left"] == [] and whole["missing"] == ["lookahead"] and "head" in able
    shown = {row.get_attribute("data-row"): row.inner_text() for row in tab.locator(".advice tbody tr").all()}
    assert sorted(shown) == sorted(able)
    for row in whole["rows"]:
        words = shown[drafters.parse(row["drafter"]).name]
        assert f"{row['kept']:.2f}" in words and f"{row['interval'][0]:.2f} to {row['interval'][1]:.2f}" in words
    assert "Not with these models: lookahead." in tab.inner_text(".advisor .aside")
    without = next(advice.drafter_messages(asked, replace(pair, head=None)))["answer"]
    assert without["missing"] == ["head", "lookahead"] and "head" not in without["left"]

    tab.locator("[data-row=ngram] .outlined").click()
    assert tab.evaluate("specviz.state.form.drafter.name") == "ngram"
    assert tab.input_value("[data-field=drafter]") == "ngram" and tab.input_value("[data-field=draft_length]") == "4"
    assert tab.evaluate("specviz.state.columns.every(({ drafter }) => !drafter)")
    assert tab.locator("[data-row=ngram] .outlined").inner_text() == "In use"
    tab.select_option("[data-field=drafter]", "suffix")
    assert tab.locator("[data-row=suffix] .outlined").inner_text() == "In use"
    assert tab.locator("[data-row=ngram] .outlined").inner_text() == "Use in all lanes"


def test_the_best_shape_is_found_and_used(chromium, pair, monkeypatch):
    """A row for each kind, as the study answered; its shape goes into the form and all lanes. (Three short runs for the answer, not
    eight.)"""
    answers, by_shape = [], shapes.by_shape

    def kept(*given):
        answers.append(by_shape(*given))
        return answers[-1]

    monkeypatch.setattr(shapes, "RUNS", 3)
    monkeypatch.setattr(shapes, "LENGTH", 16)
    monkeypatch.setattr(shapes, "by_shape", kept)
    with page_of(lambda: pair) as (url, _), visit(chromium, url) as tab:
        run(tab, max_new_tokens=12, seed=2, draft_length=4)
        tab.get_by_label("A chain or a tree").check()
        assert not tab.locator(".advisor .question select").is_visible(), "each shape has its own length"
        tab.click("text=Find settings")
        until(tab, "document.querySelector('.advice tbody tr')")
        assert complaint(tab) == ""
        (answer,) = answers
        shown = {row.get_attribute("data-row"): row.inner_text() for row in tab.locator(".advice tbody tr").all()}
        assert list(shown) == [row.kind for row in answer.advices] and {"chain", "best"} <= set(shown)
        for row in answer.advices:
            nodes = "1 node" if row.nodes == 1 else f"{row.nodes} nodes"
            words = (f"{row.accepted_per_round:.2f}", nodes, f"{row.speedup:.2f}×")
            assert all(word in shown[row.kind] for word in words)
        aside = tab.inner_text(".advisor .aside")
        assert ", ".join(f"{chance:.0%}".replace("%", " %") for chance in answer.chances) in aside
        best = next(row for row in answer.advices if row.kind == "best")
        tab.locator("[data-row=best] .outlined").click()
        form = tab.evaluate("specviz.state.form")
        assert drafters.make(form["drafter"]["name"], **form["drafter"]["knobs"]) == drafters.parse(best.drafter)
        assert form["draft_length"] == best.draft_length
        assert tab.locator("[data-row=best] .outlined").inner_text() == "In use"
        tab.locator("[data-row=best] .try").click()
        until(tab, "document.querySelector('[data-row=best] td.real b')")


def test_bad_numbers_get_a_sentence_beside_the_field(tab):
    for goal, value, sentence in (
        ("spend", "-1", "from 0 to 1000 nats per token; got -1"), ("spend", "cheap", "must be a number"), ("spend", "", "must be a number"), ("accept", "99", "from 0 to 32 tokens per round"), ("accept", "1e999", "must be a number"),
    ):  # fmt: skip
        ask(tab, goal, value)
        assert sentence in complaint(tab)
        assert tab.get_attribute(f"[data-goal={goal}]", "aria-invalid") == "true"
        assert tab.locator(".advisor [aria-invalid]").count() == 1
        assert tab.locator(".advice").count() == 0


def test_a_run_that_cannot_be_read_says_why(tab, tmp_path):
    data = json.loads(tab.evaluate("specviz.state.raw"))
    alone = data | {"lanes": data["lanes"][:1]}
    foreign = json.loads(json.dumps(data))
    foreign["models"]["draft"]["revision"] = "another"
    path = tmp_path / "trace.json"
    for lanes, (made, sentence) in enumerate([(alone, "at least two lanes"), (foreign, "made with another draft")]):
        path.write_text(signed(made), encoding="utf-8")
        tab.set_input_files("#sv-file", path)
        until(
            tab,
            "([lanes, n]) => specviz.state.source === 'imported' && specviz.state.run.lanes.length === n",
            arg=[lanes, len(made["lanes"])],
        )
        ask(tab, "spend", "0.1")
        assert sentence in complaint(tab)
    tab.evaluate("specviz.state.raw = null")
    tab.click("text=Find settings")
    assert "not ended" in complaint(tab)


@pytest.mark.parametrize(
    "change,says",
    [
        ({"goal": "please"}, "A goal is"), ({"value": None}, "must be a number"), ({"value": True}, "must be a number"), ({"value": 10**400}, "must be a number"), ({"draft_length": 0}, "from 1 to 32"),
        ({"draft_length": "4"}, "from 1 to 32"), ({"draft_length": 33}, "from 1 to 32"), ({"trace": "{"}, "cut off"), ({"trace": 7}, "a trace is text"),
    ],
)  # fmt: skip
def test_odd_questions(record, pair, change, says):
    with pytest.raises(ValueError, match=says):
        advice.answer(
            json.dumps({"trace": record.to_json(), "goal": "spend", "value": 0.1, "draft_length": 4} | change), pair
        )
    if change.keys() != {"goal"} and change.keys() != {"value"}:
        with pytest.raises(ValueError, match=says):
            list(advice.drafter_messages(json.dumps({"trace": record.to_json(), "draft_length": 4} | change), pair))
    with pytest.raises(Refused, match="not JSON that can be read"):
        advice.answer("[" * 5000, pair)


def test_odd_trials(record, pair):
    good = {
        "trace": record.to_json(),
        "rule": "sps",
        "drafter": "model",
        "draft_length": 4,
        "interval": [0, 4],
        "attempt": 1,
    }
    assert advice.tried(json.dumps(good), pair)["inside"]
    for change in (
        {"rule": None},
        {"rule": "no such rule"},
        {"drafter": None},
        {"drafter": "no such drafter"},
        {"draft_length": 99},
        {"interval": [1]},
        {"interval": ["a", "b"]},
        {"attempt": 0},
        {"attempt": "x"},
    ):
        with pytest.raises(ValueError):
            advice.tried(json.dumps(good | change), pair)
    assert advice.tried(json.dumps(good | {"attempt": 2}), pair) != advice.tried(json.dumps(good), pair), (
        "another attempt has other seeds"
    )


def test_every_token_rule_is_a_row_or_missing(record, pair):
    few = replace(record, lanes=record.lanes[:2])
    found = advice.answer(
        json.dumps({"trace": few.to_json(), "goal": "accept", "value": 1.0, "draft_length": None}), pair
    )
    named = sorted([row["name"] for row in found["rows"]] + found["missing"])
    assert named == sorted(name for name in rules.names() if rules.get(name).scope == "token")
    for row in found["rows"]:
        assert (
            row["interval"][0] <= row["kept"] <= row["interval"][1]
            and row["speedup_interval"][0] <= row["speedup"] <= row["speedup_interval"][1]
        )
    json.dumps(found, allow_nan=False)
