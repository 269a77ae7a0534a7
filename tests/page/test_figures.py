"""Figures for a talk or a paper: what is saved is what is there now, with a title, named axes and what it is of, and large
enough to be read; and the numbers of a plot as a table."""

from __future__ import annotations

import csv
import io
import re
import struct
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from specviz import __version__
from tests.page.test_page import pytestmark  # noqa: F401  (where there is no pair)
from tests.support.browser import until, watched

SIZE = re.compile(r"font-size:\s*([\d.]+)px")


def saved(page, label: str) -> bytes:
    """The file of a button, pressed where it is: the page does not scroll to it. Chromium drops what comes after ten
    downloads within a second, which no person reaches: a tenth of a second lies between two of them here."""
    page.wait_for_timeout(110)
    with page.expect_download() as download:
        page.evaluate('label => document.querySelector(`button[aria-label="${label}"]`).click()', label)
    return Path(download.value.path()).read_bytes()


def rows_of(page, title: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(saved(page, f"{title} as CSV").decode())))


def texts(svg: bytes) -> tuple[list[str], float, float]:
    """The words of a picture, the smallest type in it as pixels of a screen 1920 wide, and its width over its height."""
    root = ElementTree.fromstring(svg)
    wide, tall = (float(root.get(name)) for name in ("width", "height"))
    nodes = [node for node in root.iter("{http://www.w3.org/2000/svg}text") if "".join(node.itertext()).strip()]
    sizes = [float(found.group(1)) for node in nodes if (found := SIZE.search(node.get("style") or ""))]
    scale = 1.0
    for inner in root.findall("{http://www.w3.org/2000/svg}svg"):  # a figure of the playground, in its frame
        box = [float(one) for one in (inner.get("viewBox") or "0 0 1 1").split()]
        if inner.get("height") and box[2] > 1:
            scale = min(float(inner.get("width")) / box[2], float(inner.get("height")) / box[3])
            sizes += [scale * float(node.get("font-size")) for node in inner.iter() if node.get("font-size")]
    sizes += [float(node.get("font-size")) for node in root.findall("{http://www.w3.org/2000/svg}text")]
    return ["".join(node.itertext()) for node in nodes], min(sizes) * 1920 / wide, wide / tall


def titles(page, within: str) -> list[str]:
    """The plots of a section that have something to show."""
    labels = page.eval_on_selector_all(
        f"{within} .plot button[aria-label$=' as SVG']",
        "nodes => nodes.filter(node => !node.closest('[hidden]')).map(node => node.getAttribute('aria-label'))",
    )
    return [label.removesuffix(" as SVG") for label in labels]


def readable(page, title: str, *of: str) -> None:
    """A figure has its title, both its axes, what it is of, and type of 22 px and more on a screen 1920 wide."""
    words, smallest, shape = texts(saved(page, f"{title} as SVG"))
    said = " ".join(words)
    x, y = list(rows_of(page, title)[0])[1:3]
    plot = page.locator(f".plot:has(button[aria-label='{title} as SVG'])")
    heading = plot.locator("h2, h3").first.text_content()  # as it stands there: it may depend on the run
    for part in (heading, x, y, f"specviz {__version__}", *of):
        assert part in said, f"{title}: {part!r} is not in it: {words}"
    assert smallest >= 22 and shape == pytest.approx(16 / 9, abs=0.01)


@pytest.fixture(scope="module")
def shown(chromium, home):
    """The page in the dark, and what went wrong on it."""
    context = chromium.new_context(
        viewport={"width": 1440, "height": 700}, color_scheme="dark", reduced_motion="reduce", accept_downloads=True
    )
    page, wrong = watched(context, home)
    page.goto(home)
    yield page
    context.close()
    assert wrong == []


def test_a_plot_out_of_sight_is_saved_as_the_run_has_ended(shown):
    """A run goes to its end while the plots are below the window; what they are saved as holds all of it."""
    page = shown
    until(page, "document.querySelector('.lanes .text .t') && window.Plotly")
    page.fill("[data-field=max_new_tokens]", "40")
    page.fill(".promptbox textarea", "Multiply 12 by 3.")
    page.click(".promptbox .run")
    until(page, "document.querySelector('.promptbox .run').textContent.includes('Stop')")
    until(page, "document.querySelector('.promptbox .run').textContent.includes('Run')")
    graph = page.locator("section.plot[aria-label='The race'] .canvas").bounding_box()
    assert graph is None or graph["y"] > 700 or graph["y"] + graph["height"] < 0, "it is out of sight"
    written: dict[str, int] = {}
    for row in rows_of(page, "The race"):
        written[row["series"]] = max(written.get(row["series"], 0), int(row["tokens written"]))
    counts = page.evaluate(
        "Object.fromEntries(specviz.state.run.lanes.map(lane => [lane.label, lane.sums.at(-1).emitted]))"
    )
    del written["plain"], counts["plain"]  # it needs more calls than the plot is wide
    assert page.evaluate("specviz.state.source") == "live" and written == counts and len(counts) >= 2
    for title in titles(page, ".sv > .page:not([hidden])"):
        readable(page, title, "seed", "temperature")


def test_figures_of_a_sweep_and_of_the_playground(shown):
    """The same of every other plot; light whatever the theme, a PNG of 1920 by 1080."""
    page = shown
    page.click(".sections button:has-text('Sweep')")
    until(page, "document.querySelectorAll('.sweep .js-plotly-plot').length === 2")
    found = titles(page, ".sweep")
    assert len(found) == 2
    for title in found:
        readable(page, title, "160 questions", "temperature 1", "recorded")
        assert {"cactus", "sps", "tas"} <= {row["series"].split()[0] for row in rows_of(page, title)}
    page.click(".sections button:has-text('Playground')")
    until(page, "document.querySelector('.playtable tbody tr')")
    found = titles(page, ".playground")
    assert len(found) >= 2
    for title in found:
        readable(page, title)
        picture = saved(page, f"{title} as PNG")
        assert struct.unpack(">II", picture[16:24]) == (1920, 1080)
    ground = page.evaluate("getComputedStyle(document.querySelector('.sv')).getPropertyValue('--sheet').trim()")
    assert ground.lower() not in saved(page, f"{found[0]} as SVG").decode().lower(), "dark here, light in the file"
