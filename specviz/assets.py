"""Where the files are that come with the project: model pairs, recorded runs, prompts, plotly."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent
ASSETS = _HERE / "assets" if (_HERE / "assets").is_dir() else _HERE.parent / "assets"  # installed, or in a checkout
