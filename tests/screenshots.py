"""Pictures of the page, to be looked at: `python -m tests.screenshots [folder]` (build/screenshots by default)."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.support.browser import DRAWN, app, browser, until

SIZES = {"low": (960, 600), "desktop": (1440, 900), "wide": (2560, 1440), "phone": (390, 844)}
SCHEMES = ("light", "dark")
TREE = "A tree of drafts"
COPIES = "Repeat a text"


def screen(page: Page, path: Path) -> None:
    """What is seen at once, in the middle of the run that the page opens with."""
    page.evaluate("specviz.setTime(specviz.state.run.span * 0.8)")
    until(page, DRAWN)
    page.wait_for_timeout(800)
    page.screenshot(path=path)


def whole(page: Page, path: Path) -> None:
    """The same, with all that is below."""
    page.evaluate("specviz.setTime(specviz.state.run.span * 0.8)")
    for plots in page.locator(".plots").all():  # what is out of sight is not drawn again
        plots.scroll_into_view_if_needed()
        page.wait_for_timeout(400)
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_timeout(800)
    page.screenshot(path=path, full_page=True)


def sweep(page: Page, path: Path) -> None:
    page.click(".sections button:has-text('Sweep')")
    until(page, "document.querySelectorAll('.sweep .js-plotly-plot').length === 2")
    page.wait_for_timeout(400)
    page.screenshot(path=path, clip={"x": 0, "y": 0, "width": 1440, "height": 965}, full_page=True)


def candidates(page: Page, path: Path) -> None:
    """Several candidates for one place, in the playground."""
    page.click(".sections button:has-text('Playground')")
    section = page.locator("section.candidates")
    section.scroll_into_view_if_needed()
    page.wait_for_timeout(800)
    section.screenshot(path=path)


def tree(page: Page, path: Path) -> None:
    """A round with a refusal, as a tree."""
    opened(page, TREE)
    page.evaluate(
        """() => {
          const { index, tokens } = specviz.state.run.lanes[1]; // the first that drafts a tree
          specviz.pick(index, tokens.find(({ fate }) => fate === "rejected").key);
        }"""
    )
    page.get_by_text("The round’s tree").first.click()
    page.wait_for_timeout(1500)
    page.locator("section.roundtree").screenshot(path=path)


def copies(page: Page, path: Path) -> None:
    """A token that was copied, and where from."""
    opened(page, COPIES)
    page.evaluate("specviz.setTime(Infinity)")
    page.evaluate(
        """() => {
          const { index, tokens } = specviz.state.run.lanes[1];
          specviz.pick(index, tokens.findLast(({ fate }) => fate === "accepted").key);
        }"""
    )
    page.wait_for_timeout(1200)
    page.screenshot(path=path)


def opened(page: Page, example: str) -> None:
    page.click(f".ask .examples button:has-text('{example}')")
    until(
        page,
        "name => specviz.boot.prompts.find(one => one.name === name).text === specviz.state.run.trace.prompt",
        example,
    )
    page.evaluate("specviz.setTime(Infinity)")


def taken(chromium: Browser, home: str, size: tuple[int, int], scheme: str, take: Callable[[Page, Path], None], path: Path) -> None:  # fmt: skip
    context = chromium.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(home)
    until(page, "window.specviz?.state?.run")
    take(page, path)
    context.close()
    print(path)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, app(Path(scratch) / "log.txt") as home, browser() as chromium:
        for name, size in SIZES.items():
            for scheme in SCHEMES:
                taken(chromium, home, size, scheme, screen, folder / f"{name}-{scheme}.png")
        for take in (whole, sweep, candidates, tree, copies):
            taken(chromium, home, SIZES["desktop"], "light", take, folder / f"{take.__name__}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "build" / "screenshots")
