"""Several candidates for one place on the page, in a replay that asks nobody for anything: the lanes' text, the round's tree, and
the playground's part on them. Their arithmetic: tests/js/sets.test.js, contracts/test_set_twins.py."""

from __future__ import annotations

import pytest

from specviz import drafters, rules, sets
from specviz.engine.settings import Settings
from tests.conftest import run
from tests.support.browser import beyond, serious, until, watched
from tests.support.traces import replay

SHAPE = "3-2-1"
FRAMES = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture(scope="module")
def trace(pair):
    drafter = drafters.make("tree", shape=SHAPE, siblings="without_replacement")
    lanes = [
        Settings(rules.parse(spec), drafter=drafter, draft_length=3, max_new_tokens=48, seed=4)
        for spec in ("sps", "interpolation:alpha=0.5")
    ]
    return run(pair, "Once upon a time", "tiny", lanes)


@pytest.fixture(scope="module")
def file(trace, tmp_path_factory):
    path = tmp_path_factory.mktemp("several") / "run.html"
    path.write_text(replay(trace.to_json()), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def tab(chromium, file):
    context = chromium.new_context(viewport={"width": 1440, "height": 1000}, reduced_motion="reduce")
    page, wrong = watched(context, file)
    page.goto(file)
    until(page, "specviz.state.run && document.querySelector('.roundtree svg')")
    page.evaluate("specviz.timeline.pause(); specviz.setTime(Infinity)")
    yield page
    context.close()
    assert wrong == []


def refused(trace, lane: int = 0) -> tuple[int, int, int]:
    """A round of a lane, and in it a refused candidate and its younger sibling that was kept."""
    for number, round_ in enumerate(trace.lanes[lane].rounds):
        fates = round_.fates(True)
        for node, parent in enumerate(round_.parents):
            elders = [i for i in range(node) if round_.parents[i] == parent]
            if fates[node] == "accepted" and elders and fates[elders[-1]] == "rejected":
                return number, elders[-1], node
    raise AssertionError("No elder was refused in this run.")


def choose(tab, lane: int, round_: int, node: int) -> None:
    tab.evaluate(
        "([lane, round, node]) => specviz.pick(lane, specviz.state.run.lanes[lane].rounds[round].tokens[node].key)",
        [lane, round_, node],
    )


def test_the_kept_path_stands_in_the_line(tab, trace):
    """What is seen of a lane is its text and the marks; a mark says how many candidates there were, and unfolds the refused."""
    tab.evaluate("specviz.pick(null)")
    for i, lane in enumerate(trace.lanes):
        seen = tab.evaluate(
            "(i) => [...document.querySelectorAll(`.text[data-lane='${i}'] .t`)].filter((t) => t.checkVisibility()).map((t) => Number(t.dataset.k))",
            i,
        )
        kept = tab.evaluate("(i) => specviz.state.run.lanes[i].tokens.filter((t) => !t.cut).map((t) => t.key)", i)
        assert seen == kept
        marks = tab.locator(f".text[data-lane='{i}'] .offers").all_inner_texts()
        expected = []
        for round_ in lane.rounds:
            for end in [-1, *round_.path]:
                count = round_.parents.count(end)
                expected += [str(count)] if count > 1 and (end != (round_.path or [-1])[-1] or round_.origin) else []
        assert marks == expected
    number, elder, _ = refused(trace)
    tab.click(f".text[data-lane='0'] .round[data-r='{number}'] .offers.some >> nth=0")
    assert tab.locator(f".text[data-lane='0'] .round[data-r='{number}'] .t.rejected").first.is_visible()
    assert tab.evaluate("specviz.state.picked") is None
    tab.click(f".text[data-lane='0'] .round[data-r='{number}'] .offers.some >> nth=0")


def test_the_tree_shows_every_candidate(tab, trace):
    """A node for each with its fate, a bar for each judged one, and what a refused elder leaves: 1 less what is kept of it."""
    number, elder, younger = refused(trace)
    round_ = trace.lanes[0].rounds[number]
    choose(tab, 0, number, elder)
    fates = tab.evaluate(
        "[...document.querySelectorAll('.roundtree .node')].map((n) => [Number(n.dataset.slot), n.classList[1]])"
    )
    assert sorted(fates) == [[i, fate] for i, fate in enumerate(round_.fates(True))]
    words = tab.inner_text(".roundtree .treebody")
    assert words.count("φ ") == len(round_.nodes) and words.count("place ") == round_.depth
    share = round_.judged["tv"][round_.nodes.index(elder)]
    assert f"leaves {100 * share:.0f} %" in words and "what is left" in words
    assert f"{round_.kept} of {len(round_.drafted)}" in tab.inner_text(".treefigures")
    assert "Candidate " in tab.inner_text(".inspector") and "without replacement" in tab.inner_text(".roundtree")
    assert serious(tab) == []


def test_the_tree_by_keyboard(tab, trace):
    """Arrows go to the neighbours, the parent and what is behind; the selection and the focus go along. Rounds by their buttons."""
    number, elder, younger = refused(trace)
    round_ = trace.lanes[0].rounds[number]
    choose(tab, 0, number, elder)
    tab.click(".inspector .link:has-text('tree')")
    here = "[Number(document.activeElement.dataset.slot), specviz.state.run.lanes[0].tokens[specviz.state.picked.key].slot]"
    assert tab.evaluate(here) == [elder, elder]
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate(here) == [younger, younger]
    children = [i for i, parent in enumerate(round_.parents) if parent == younger]
    if children:
        tab.keyboard.press("ArrowRight")
        assert tab.evaluate(here)[0] in children
        tab.keyboard.press("ArrowLeft")
    assert tab.evaluate(here) == [younger, younger]
    tab.keyboard.press("ArrowUp")
    assert tab.evaluate(here) == [elder, elder]
    tab.click(".treenav button[aria-label^='Next']")
    until(tab, "(number) => specviz.state.run.lanes[0].tokens[specviz.state.picked.key].round > number", number)


def test_the_numbers_over_a_place(tab, trace):
    """Over each place with several candidates stand the chance that one is kept and the most that any rule could keep, as in the
    trace; Enter says what they are, a click takes it away again. Narrow they stand above the candidates, and unfold."""
    number, elder, _ = refused(trace)
    choose(tab, 0, number, elder)
    places = trace.lanes[0].rounds[number].candidates
    numbers = [(f"{place.kept_chance:.2f}", f"best {place.optimum:.2f}") for place in places]
    over = tab.locator(".roundtree .chance")
    assert numbers and [tuple(words.split(", ")) for words in over.locator("text").all_text_contents()] == [
        (f"kept {kept}", best) for kept, best in numbers
    ]
    over.first.focus()
    tab.keyboard.press("Enter")
    said = tab.inner_text(".treenote")
    assert said.startswith("Place 1. One of these 3 candidates") and all(
        value in said for value in (numbers[0][0], numbers[0][1].removeprefix("best "))
    )
    assert said.removeprefix("Place 1. ") == over.first.get_attribute("aria-label")
    over.first.click()
    assert tab.inner_text(".treenote") == ""
    tab.set_viewport_size({"width": 390, "height": 844})
    until(tab, "document.querySelector('.treelist')")
    tab.evaluate("specviz.sheet.open(false)")
    listed = tab.locator(".treelist .listchance")
    assert [words.split("kept: ")[1] for words in listed.locator("summary").all_inner_texts()] == list(
        map(", ".join, numbers)
    )
    listed.first.locator("summary").click()
    assert listed.first.locator("p").inner_text() == said.removeprefix("Place 1. ")
    tab.set_viewport_size({"width": 1440, "height": 1000})
    until(tab, "document.querySelector('.roundtree .chance')")


def test_narrow_the_tree_is_a_list(tab, trace):
    """At 390 px: a button for each candidate, those behind it indented; nothing reaches beyond the edge at any width."""
    number, elder, _ = refused(trace)
    choose(tab, 0, number, elder)
    for width in (1440, 960, 390):
        assert beyond(tab, width) == []
    until(tab, "document.querySelector('.treelist')")
    tab.evaluate("specviz.sheet.open(false)")
    tab.click(".treenav >> text=Show every node")
    slots = tab.evaluate("[...document.querySelectorAll('.treelist [data-slot]')].map((n) => Number(n.dataset.slot))")
    assert sorted(slots) == list(range(len(trace.lanes[0].rounds[number].drafted)))
    share = trace.lanes[0].rounds[number].judged["tv"][trace.lanes[0].rounds[number].nodes.index(elder)]
    assert f"its elder leaves {100 * share:.0f} %" in tab.locator(".treelist .leaves").all_inner_texts()
    parents = tab.evaluate(
        """[...document.querySelectorAll('.treelist [data-slot]')].map((node) =>
            [node, node.closest('ul').closest('li')?.querySelector('[data-slot]')].map((one) => Number(one?.dataset.slot ?? -1)))"""
    )
    assert dict(map(tuple, parents)) == dict(enumerate(trace.lanes[0].rounds[number].parents)), (
        "each under what it follows"
    )
    tab.click(f".treelist [data-slot='{elder}']")
    assert tab.evaluate("specviz.state.run.lanes[0].tokens[specviz.state.picked.key].slot") == elder
    assert tab.get_attribute(f".treelist [data-slot='{elder}']", "aria-pressed") == "true"
    tab.evaluate("specviz.sheet.open(false)")
    box = tab.locator(".treelist [data-slot]").first.bounding_box()
    assert box["height"] >= 44
    tab.set_viewport_size({"width": 1440, "height": 1000})


def test_the_playground_of_several_candidates(tab):
    """Presets and choices say what is so, exactly; rules that do not judge such candidates say what they judge; a link restores
    it."""
    tab.click(".sections >> text=Playground")
    tab.evaluate("document.querySelector('.candidates').scrollIntoView()")
    until(tab, "specviz.candidates.now")
    tab.click(".candidates .examples >> text=Picked siblings")
    tab.evaluate(FRAMES)
    state = tab.evaluate("(({ draft, verifier }) => ({ draft, verifier }))(specviz.play.state)")
    most = float(sets.optimum(state["verifier"], state["draft"], 2, "picked"))
    single = float(sets.optimum(state["verifier"], state["draft"], 1, "iid"))
    words = tab.inner_text(".candidates .opening")
    assert f"{100 * most:.1f} %" in words and f"{100 * single:.1f} %" in words and "That is less than" in words
    assert "within its budget" in words
    row = tab.inner_text(".settable tr:has-text('k_seq')")
    assert "judges i.i.d. candidates only" in row
    tab.focus(".choices input[value='picked']")
    tab.keyboard.press("ArrowLeft")
    tab.evaluate(FRAMES)
    assert tab.evaluate("specviz.play.state.sets.drawing") == "greedy"
    shown = tab.locator(".settable tr.best td.k").all_inner_texts()
    exact = [sets.optimum(state["verifier"], state["draft"], k, "greedy") for k in (1, 2, 3, 4)]
    assert shown == [f"{100 * float(value):.1f}" for value in exact]
    tab.focus(".choices input[value='2']")
    tab.keyboard.press("ArrowRight")
    tab.evaluate(FRAMES)
    packed = tab.evaluate("specviz.play.pack()")
    tab.click(".candidates .examples >> text=Without replacement")
    tab.evaluate("(text) => specviz.play.unpack(text)", packed)
    tab.evaluate(FRAMES)
    assert tab.evaluate("[specviz.play.state.sets.k, specviz.play.state.sets.drawing]") == [3, "greedy"]
    assert serious(tab) == []
    for width in (960, 390):
        assert beyond(tab, width) == []
