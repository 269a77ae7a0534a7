"""Pictures of the page, to be looked at: `python -m tests.screenshots [folder]` (build/screenshots by default)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.support.browser import DRAWN, app, browser, until

VIEWS = {  # name: width, height, colour scheme
    "desktop-light": (1440, 1000, "light"), "desktop-dark": (1440, 1000, "dark"), "phone": (390, 844, "light"),
    "tablet": (820, 1100, "light"), "wide": (2560, 1400, "dark"),
}  # fmt: skip


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, app(Path(scratch) / "log.txt") as home, browser() as chromium:
        for name, (width, height, scheme) in VIEWS.items():
            context = chromium.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
            )
            page = context.new_page()
            page.goto(home)
            until(page, "window.specviz?.state?.run")
            page.evaluate("specviz.setTime(specviz.state.run.span * 0.8)")
            until(page, DRAWN)
            for plots in page.locator(".plots").all():  # what is out of sight is not drawn again
                plots.scroll_into_view_if_needed()
                page.wait_for_timeout(400)
            page.evaluate("scrollTo(0, 0)")
            page.wait_for_timeout(800)
            page.screenshot(path=folder / f"{name}.png", full_page=True)
            if name == "desktop-light":
                page.click(".sections button:has-text('Sweep')")
                until(page, "document.querySelectorAll('.sweep .js-plotly-plot').length === 2")
                page.wait_for_timeout(400)
                page.screenshot(
                    path=folder / "sweep.png", clip={"x": 0, "y": 0, "width": width, "height": 965}, full_page=True
                )
            context.close()
            print(folder / f"{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "build" / "screenshots")
