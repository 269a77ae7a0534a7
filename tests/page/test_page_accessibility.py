"""axe over the page: nothing of serious or critical impact, in both themes, wide and narrow."""

from __future__ import annotations

import pytest

from tests.support.browser import until, watched


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(chromium, home, scheme, width):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed"
    ).Axe()
    context = chromium.new_context(
        viewport={"width": width, "height": 1000}, color_scheme=scheme, reduced_motion="reduce"
    )
    page, wrong = watched(context, home)
    page.goto(home)
    until(page, "window.specviz?.live?.wire() && specviz.state.run && specviz.state.picked")
    assert serious(axe, page) == []
    page.click("text=Share")  # a menu that is open
    assert serious(axe, page) == []
    page.keyboard.press("Escape")
    page.click("text=Playground")
    assert serious(axe, page) == []
    context.close()
    assert wrong == []


def serious(axe, page) -> list:
    """What axe holds against the page: the rule, and where."""
    found = axe.run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        (one["id"], [node["target"] for node in one["nodes"]][:5], len(one["nodes"]))
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
