"""One screen, the sheet for a token, the tour, the projector and the keys; and how the prompt box behaves."""

from __future__ import annotations

import pytest

from tests.page.test_page import run
from tests.support.browser import until, watched

SEEN = """(selectors) => selectors.map((selector) => {
  const { top, bottom, height, width } = document.querySelector(selector).getBoundingClientRect();
  return { selector, ok: top >= 0 && bottom <= innerHeight + 1 && height > 0 && width > 0, top, bottom };
}).filter((one) => !one.ok)"""
CLIPPED = """() => [...document.querySelectorAll('.sv .screen *')].filter((node) =>
  node.getClientRects().length && getComputedStyle(node).position !== 'fixed' && !node.closest('.text, .examples, .inspector, .answer, .sr, svg')
  && (node.getBoundingClientRect().right > innerWidth + 1)).map((node) => node.className)"""


def opened(chromium, home, width, height, **options):
    context = chromium.new_context(viewport={"width": width, "height": height}, reduced_motion="reduce", **options)
    page, wrong = watched(context, home)
    page.goto(home)
    until(page, "window.specviz?.state.run && window.specviz.live.wire()")
    return context, page, wrong


@pytest.mark.parametrize("width, height", [(960, 600), (1440, 900), (2560, 1440)])
def test_legend_prompt_lanes_and_player_are_one_screen(chromium, home, width, height):
    """All of them are inside the window, nothing sticks out at its side, and each lane shows three lines of text at least."""
    context, page, wrong = opened(chromium, home, width, height)
    assert page.evaluate(SEEN, [".opening", ".promptbox", ".run", ".lanes", ".play", ".track"]) == []
    assert page.evaluate(CLIPPED) == []
    lines = page.evaluate(
        "[...document.querySelectorAll('.lane > .text')].map((text) => text.clientHeight / parseFloat(getComputedStyle(text).lineHeight))"
    )
    assert min(lines) >= 3
    context.close()
    assert wrong == []


def test_a_phone_shows_text_and_player_first_and_a_sheet_for_a_token(chromium, home):
    """The lane's first lines and the player are on the first screen. Tapping a token opens the sheet, Escape and the
    cross close it, and a tap on the same token opens it again; the token that the page picks does not, in a recorded run or
    in one that streams in. What is said of an example is one line, which a tap unfolds."""
    context, page, wrong = opened(chromium, home, 390, 844, has_touch=True)
    assert page.evaluate(SEEN, [".promptbox", ".play", ".track"]) == []
    top, player = page.evaluate(
        "[document.querySelector('.lane.front .text').getBoundingClientRect().top, document.querySelector('.timeline').getBoundingClientRect().top]"
    )
    assert player - top > 60
    assert not page.is_visible(".inspector")
    page.locator(".lane.front .text .t").first.tap()
    page.wait_for_selector(".inspector", state="visible")
    assert page.evaluate("document.querySelector('.drawer').getBoundingClientRect().bottom") <= 845
    page.click(".drawerclose")
    page.wait_for_selector(".inspector", state="hidden")
    page.locator(".lane.front .text .t").first.tap()
    page.wait_for_selector(".inspector", state="visible")
    page.keyboard.press("Escape")
    page.wait_for_selector(".inspector", state="hidden")
    high = "document.querySelector('.why').clientHeight"
    folded = page.evaluate(high)
    page.locator(".why span").tap()
    assert 0 < folded < 22 and page.evaluate(high) > folded
    run(page)
    assert page.evaluate("specviz.pickedToken().fate") == "relaxed" and not page.is_visible(".inspector")
    context.close()
    assert wrong == []


def test_the_tour_goes_by_keys_alone_and_comes_back(tab):
    """T opens it; each card has a title of its own, and moves the playhead or the selection; Space goes to the end,
    Escape ends it at once, and the focus is where it was."""
    tab.focus(".tourbutton")
    tab.keyboard.press("t")
    titles, places = [], set()
    while tab.is_visible(".tourcard"):
        titles.append(tab.inner_text(".tourcard h2"))
        places.add(tab.evaluate("JSON.stringify([specviz.state.time, specviz.state.picked])"))
        lit = tab.evaluate("document.querySelector('.tourlight').getBoundingClientRect().width")
        assert lit > 20
        tab.keyboard.press("Space")
    assert 5 <= len(titles) <= 7 and len(set(titles)) == len(titles) and len(places) >= 4
    assert tab.evaluate("document.activeElement.className").endswith("tourbutton")
    tab.keyboard.press("t")
    tab.keyboard.press("Escape")
    assert not tab.is_visible(".tourcard")


def test_the_projector_shows_two_lanes_and_tells_each_round(tab):
    """F leaves legend, two lanes, the player and a sentence about the round; the sentence follows the playhead."""
    tab.evaluate("document.activeElement.blur()")
    tab.keyboard.press("f")
    until(tab, "document.querySelector('.sv').classList.contains('projector')")
    assert tab.locator(".lane:visible").count() == 2 and not tab.is_visible(".promptbox")
    at = "specviz.shown().find(({{ index }}) => index === specviz.state.front).lane.rounds[{}].to"
    said = []
    for number in (0, 1):
        tab.evaluate(f"specviz.setTime({at.format(number)})")
        said.append(tab.inner_text(".narration"))
    assert "round 1:" in said[0] and "round 2:" in said[1]
    tab.keyboard.press("f")
    assert tab.is_visible(".promptbox")


def test_the_list_of_keys(tab):
    """? opens it, Escape closes it."""
    tab.keyboard.press("?")
    assert "projector" in tab.inner_text("dialog.keys")
    tab.keyboard.press("Escape")
    tab.wait_for_selector("dialog.keys", state="hidden")


def test_the_prompt_box(tab):
    """A prompt that is not that of the lanes says so; a field is checked when it is left; Shift+Enter breaks the line, and
    Enter runs."""
    tab.fill("#sv-prompt", "Tim had a red ball")
    assert "The lanes show an earlier prompt" in tab.inner_text(".promptnotice")
    assert tab.evaluate("document.querySelector('.lanes').classList.contains('aside')")
    tab.fill("[data-field=temperature]", "99")
    tab.press("[data-field=temperature]", "Tab")
    assert "Temperature must be" in tab.inner_text(".settingserror")
    tab.fill("[data-field=temperature]", "1")
    tab.press("#sv-prompt", "Shift+Enter")
    assert tab.input_value("#sv-prompt") == "Tim had a red ball\n"
    tab.fill("[data-field=max_new_tokens]", "8")
    tab.press("#sv-prompt", "Enter")
    until(tab, "specviz.state.source === 'live' && !specviz.state.live")
    assert tab.inner_text(".promptnotice") == ""


SHAPES = """() => [...document.querySelectorAll('.opening .t')].map(mark => [mark, mark.querySelector('bdi')].map(node => {
  const style = getComputedStyle(node);
  const shadow = style.boxShadow.replace(/rgba?\\([^)]*\\)/g, '');
  return [style.textDecorationLine, style.textDecorationStyle, style.fontStyle, style.fontWeight, shadow, style.paddingLeft].join(' ');
}).join(' | '))"""


def test_marks_and_numbers_say_what_they_are(chromium, home):
    """No two fates look alike without their colours. Every figure of a lane says, under the pointer, what it is and whether
    it is exact, recorded or estimated."""
    context, page, wrong = opened(chromium, home, 1440, 900)
    shapes = page.evaluate(SHAPES)
    assert len(shapes) == 6 == len(set(shapes)), shapes
    figures = page.locator(".lane").first.locator("[data-figure]")
    assert figures.count() >= 6
    for i in range(figures.count()):
        if figures.nth(i).is_visible():
            figures.nth(i).hover()
            until(
                page, "/This number is (exact|recorded|estimated)/.test(document.querySelector('.sv-card')?.innerText)"
            )
            page.mouse.move(0, 0)
            until(page, "!document.querySelector('.sv-card')?.checkVisibility({ visibilityProperty: true })")
    context.close()
    assert wrong == []
