"""specviz: see, measure and trust how an acceptance rule decides which drafted tokens live.

import specviz
run = specviz.compare("Why is the sky blue?", rules=["sps", "cactus:delta=1"])
run.figures(); run.trace; run.save("run.html")
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from specviz.api import Run, compare

__version__ = "0.2.0"
__all__ = ["Run", "__version__", "compare"]


def __getattr__(name: str) -> object:
    """`compare` and `Run`, imported when they are asked for: they bring torch."""
    if name in ("Run", "compare"):
        from specviz import api

        return getattr(api, name)
    raise AttributeError(f"module 'specviz' has no attribute {name!r}")
