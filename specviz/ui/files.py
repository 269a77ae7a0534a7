"""The files that the page may ask for, each under a short address: specviz/assets/..., specviz/view/..., specviz/rules/...

Scripts lie there as they do in the project, so that one finds another by a relative path. Nothing else is served, whatever
lies beside them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from starlette.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from specviz import rules
from specviz.assets import ASSETS
from specviz.view.boot import VIEW

PREFIX = "specviz"
SERVED = {  # name in an address: the folder, and what of it
    "assets": (ASSETS, ("*.js", "sweeps/*.json", "recorded/*.json")),
    "view": (VIEW, ("js/**/*.js", "css/*.css")),
    "rules": (Path(rules.__file__).parent, ("*.js",)),
}


def paths() -> dict[str, Path]:
    """The files there are, by their addresses relative to that of the page."""
    return {
        f"{PREFIX}/{name}/{path.relative_to(folder).as_posix()}": path
        for name, (folder, patterns) in SERVED.items()
        for pattern in patterns
        for path in folder.glob(pattern)
    }


def url(path: Path) -> str:
    """The address of a file that is served. KeyError if it is none."""
    return {there: address for address, there in paths().items()}[path]


def mount() -> Mount:
    """The route to the files that are there now. A browser asks each time whether one has changed."""
    return Mount(f"/{PREFIX}", _Files())


class _Files(StaticFiles):
    """Starlette's, but of the files in `paths` alone."""

    def __init__(self) -> None:
        super().__init__()
        self._paths = paths()

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        there = self._paths.get(f"{PREFIX}/{Path(path).as_posix()}")
        try:
            return (str(there), there.stat()) if there else ("", None)
        except OSError:  # it has gone since
            return "", None

    def file_response(self, *args: Any, **more: Any) -> Response:
        answer = super().file_response(*args, **more)
        answer.headers["Cache-Control"] = "no-cache"
        return answer
