"""axe over the page: nothing of serious or critical impact, in both themes, wide and narrow."""

from __future__ import annotations

import pytest

from tests.support.browser import serious, until, watched


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(chromium, home, scheme, width):
    context = chromium.new_context(
        viewport={"width": width, "height": 1000}, color_scheme=scheme, reduced_motion="reduce"
    )
    page, wrong = watched(context, home)
    page.goto(home)
    until(page, "window.specviz?.live?.wire() && specviz.state.run && specviz.state.picked")
    assert serious(page) == []
    page.click("text=Share")  # a menu that is open
    assert serious(page) == []
    page.keyboard.press("Escape")
    page.click("text=Playground")
    assert serious(page) == []
    context.close()
    assert wrong == []
