"""Going on from a token, in the page: re-run from here, fork at this token, and the way back."""

from __future__ import annotations

import json

from specviz.record.trace import Continued, Trace
from tests.page.test_page import HOSTILE, error, hostile_trace, pytestmark, run, texts  # noqa: F401  (pytestmark: where there is no pair)
from tests.support.browser import until, watched
from tests.support.traces import replay, signed

SETTLED = "!specviz.state.live && specviz.state.source === 'live' && specviz.state.raw"
ON = f"{SETTLED} && specviz.state.run.trace.continued"
WRITTEN = "i => specviz.continued.givenText(specviz.state.run) + specviz.store.text(specviz.state.run.lanes[i])"
ROUND_START = """([i, least]) => { const lane = specviz.state.run.lanes[i], first = specviz.state.run.trace.prompt_tokens.length;
  const round = lane.rounds.find(one => one.start - first >= least && one.tokens[0].judged >= 0); specviz.pick(i, round.first); return round.start - first; }"""


def record_of(page) -> Trace:
    return Trace.from_json(page.evaluate("specviz.state.raw"))


def go_on(page, control: str) -> None:
    page.locator(f".goon {control}").first.click()
    until(page, ON)


def test_nothing_changed_nothing_changes_and_the_way_back(tab):
    """From the start of a round with the knobs as they were the lane writes the very same text behind the kept one."""
    run(tab, max_new_tokens=32, seed=5)
    for i in range(3):
        before, shown, first = tab.evaluate(WRITTEN, i), texts(tab), record_of(tab)
        kept = tab.evaluate(ROUND_START, [i, 8])
        picked = tab.evaluate("specviz.state.picked")
        go_on(tab, ".outlined")
        assert tab.evaluate(WRITTEN, i) == before
        record = record_of(tab)
        length = len(first.prompt_tokens)
        assert record.continued == Continued(length, length + kept, None)
        assert [r.emitted for r in record.lanes[i].rounds] == [
            r.emitted for r in first.lanes[i].rounds if r.start >= record.continued.position
        ]
        banner = tab.inner_text(".continued")
        assert "Continued" in banner and f"The first {kept} tokens are kept" in banner
        assert tab.locator(".lane .given").count() == 3 and tab.locator(".lane .onward").count() == 3
        assert tab.input_value("[data-field=max_new_tokens]") == "32", "the whole text is as long as it was to be"
        tab.click("text=Back to the earlier run")
        assert (
            texts(tab) == shown
            and tab.evaluate("specviz.state.picked") == picked
            and tab.evaluate("specviz.state.raw") == first.to_json()
        )
        assert not tab.locator(".continued").is_visible()


def test_a_fork_puts_the_token_there_and_the_trace_says_so(tab, chromium, tmp_path):
    run(tab, max_new_tokens=30, seed=3)
    first = tab.evaluate("specviz.state.raw")
    kept = tab.evaluate(ROUND_START, [1, 6])
    chip = tab.locator(".goon .chip").nth(1)
    token, name = int(chip.get_attribute("data-token")), chip.locator("bdi").inner_text()
    chip.click()
    until(tab, ON)
    record = record_of(tab)
    assert record.continued.forced == token == record.prompt_tokens[-1]
    assert (
        record.continued_from()[0] == [t for r in json.loads(first)["lanes"][1]["rounds"] for t in r["emitted"]][:kept]
    )
    banner = tab.inner_text(".continued")
    assert "Forked" in banner and name in banner and f"Token {kept + 1}" in banner
    assert (
        tab.eval_on_selector_all(".lane .forced", "nodes => nodes.map(node => node.textContent)")
        == [name.replace("␣", "")] * 3
    )
    shown = texts(tab)

    tab.click("text=Open")
    tab.click("text=Re-run and verify")
    until(tab, "document.querySelector('.notice').textContent.startsWith('Reproduced')")

    link = tab.evaluate("specviz.share.link()")
    other = chromium.new_page()
    other.goto(link)
    until(other, ON)
    assert texts(other) == shown and record_of(other).continued == record.continued
    other.close()

    raw = tab.evaluate("specviz.state.raw")
    tab.locator(".goon .chip, .goon .outlined").first.click()  # once more, from what is selected: two runs to go back
    until(tab, f"{SETTLED} && specviz.fork.earlier() === 2")
    assert record_of(tab).continued.prompt_length == record.continued.prompt_length
    tab.click("text=Back to the earlier run")
    assert tab.evaluate("specviz.state.raw") == raw
    tab.click("text=Back to the earlier run")
    assert tab.evaluate("specviz.state.raw") == first

    path = tmp_path / "trace.json"
    path.write_text(raw, encoding="utf-8")
    tab.set_input_files("#sv-file", path)
    until(tab, "specviz.state.source === 'imported'")
    assert (
        texts(tab) == shown
        and "Forked" in tab.inner_text(".continued")
        and tab.locator("text=Back to the earlier run").count() == 0
    )
    run(tab)
    assert not tab.locator(".continued").is_visible() and record_of(tab).continued is None, (
        "Run begins at the prompt again"
    )


def test_the_divergence_plot_of_a_fork_counts_from_the_prompt(tab):
    run(tab, max_new_tokens=30, seed=3)
    kept = tab.evaluate(ROUND_START, [1, 6])
    go_on(tab, ".outlined")
    tab.locator(".plots").first.scroll_into_view_if_needed()
    points = "specviz.plots.cards[0].graph.data.filter(trace => trace.customdata).flatMap(trace => trace.customdata.map(([lane, key], i) => [trace.x[i], specviz.state.run.lanes[lane].tokens[key]]))"
    until(tab, f"!specviz.plots.cards[0].stale && {points}.length")
    found = tab.evaluate(
        f"{points}.map(([x, token]) => [x, token.position - specviz.continued.promptLength(specviz.state.run.trace) + 1])"
    )
    assert all(x == written for x, written in found) and min(x for x, _ in found) == kept + 1 > 1


def test_what_if_becomes_real_from_the_first_changed_fate(tab):
    tab.fill("#sv-prompt", "Once upon a time there was a dog and a ball.")
    run(tab, max_new_tokens=40, seed=4)
    tab.get_by_label("cactus delta, slider").fill("0")
    first = tab.evaluate(
        "(() => { const lane = specviz.state.run.lanes[2]; const { first } = specviz.rules.whatIf(specviz.state.run, lane, specviz.state.columns[2].knobs); return first === null ? null : lane.tokens[first].position; })()"
    )
    assert first is not None, "this seed has a token kept by leniency"
    tab.click(".whatif:visible >> text=Re-run from there")
    until(tab, ON)
    record = record_of(tab)
    assert record.continued.position == first and record.lanes[2].knobs["delta"] == 0
    assert record.lanes[2].rounds[0].kept == 0, "without a budget that token is refused, with the same draw"


def test_garbage_gets_a_sentence_and_the_run_stays(tab, chromium, home, tmp_path):
    run(tab, max_new_tokens=16, seed=1)
    before = texts(tab)
    tab.evaluate(ROUND_START, [0, 4])
    good = tab.evaluate(
        "(() => { const { models, prompt_tokens } = specviz.state.run.trace; return { given: [], forced: 5, position: prompt_tokens.length, revisions: [models.draft.revision, models.verifier.revision] }; })()"
    )
    cases = [
        (good | {"forced": 10**7}, "A token id is from 0"), (good | {"forced": -1}, "A token id is from 0"), (good | {"forced": "x"}, "whole numbers"),
        (good | {"position": 10**6}, "cannot go on from position"), (good | {"given": "x"}, "list of token ids"), (good | {"revisions": []}, "other models"), (7, "list of token ids"),
    ]  # fmt: skip
    for asked, sentence in cases:
        tab.evaluate("continued => specviz.controls.run({ continued })", asked)
        assert sentence in error(tab, "continued")
        assert sentence in tab.inner_text(".goon .error"), "beside the buttons it came from"
        assert texts(tab) == before
    encode = "value => btoa(JSON.stringify(value)).replace(/=+$/, '')"
    settings = tab.evaluate("specviz.controls.settings()")
    other = chromium.new_page()
    other.goto(f"{home}#run={tab.evaluate(encode, {'v': 1, **settings, 'continued': {'given': 'x'}})}")
    until(other, "window.specviz?.state?.run")
    assert "ignored" in other.inner_text("[data-error=prompt]")
    other.close()

    data = json.loads(tab.evaluate("specviz.state.raw"))
    data["models"]["verifier"]["revision"] = "another"
    path = tmp_path / "trace.json"
    path.write_text(signed(data), encoding="utf-8")
    tab.set_input_files("#sv-file", path)
    until(tab, "specviz.state.source === 'imported'")
    tab.evaluate(ROUND_START, [0, 4])
    tab.click("text=Re-run from here")
    assert "made with other models" in error(tab, "continued")
    assert tab.evaluate("specviz.state.source") == "imported"


FLATTEST = """() => { const { state, store } = specviz, unsure = (token) => store.detail(state.run, token).facts.entropy;
  const judged = state.run.lanes[0].tokens.filter((token) => token.judged >= 0);
  specviz.pick(0, judged.reduce((best, token) => (unsure(token) > unsure(best) ? token : best)).key); }"""  # most to choose


def test_hostile_text_stays_text(tab, chromium, tmp_path):
    data = json.loads(hostile_trace())
    tail = data["lanes"][0]["rounds"][0]["emitted"][0]
    data["continued"] = {
        "prompt_length": len(data["prompt_tokens"]) - 3,
        "position": len(data["prompt_tokens"]),
        "forced": None,
    }
    forked = json.loads(json.dumps(data))
    forked["prompt_tokens"].append(tail)
    forked["continued"]["forced"] = tail
    for lane in forked["lanes"]:
        for r in lane["rounds"]:
            r["start"] += 1
    forked["pieces"][str(tail)] = HOSTILE
    path = tmp_path / "trace.json"
    for one in (data, forked):
        path.write_text(signed(one), encoding="utf-8")
        tab.set_input_files("#sv-file", path)
        until(
            tab,
            "length => specviz.state.source === 'imported' && specviz.state.run.trace.prompt_tokens.length === length",
            arg=len(one["prompt_tokens"]),
        )
        tab.evaluate(FLATTEST)
        assert tab.locator(".goon .chip").count() > 3
        assert tab.evaluate("window.broken") is None
        assert tab.locator(".continued img, .given img, .goon img, .given script, .goon script").count() == 0
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert "<img src=x" in tab.inner_text(".continued") and "<img src=x" in tab.locator(".forced").first.inner_text()

    page_file = tmp_path / "replay.html"
    page_file.write_text(replay(signed(forked)), encoding="utf-8")
    page, wrong = watched(chromium, page_file.as_uri())
    page.goto(page_file.as_uri())
    page.wait_for_selector(".sv .lane .given")
    assert "Forked" in page.inner_text(".continued") and page.locator(".goon, .advisor").count() == 0, (
        "a replay shows the fork, and runs nothing"
    )
    assert page.evaluate("window.broken") is None
    page.close()
    assert [line for line in wrong if "file:" not in line] == []
