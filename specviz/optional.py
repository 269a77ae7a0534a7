"""Libraries that only a part of specviz needs, and the sentence for who uses that part without them."""

from __future__ import annotations

DISTRIBUTION = "specviz-decoding"
EXTRAS = {  # library: what needs it, and the extra of pyproject.toml that installs it
    "gradio": ("The page needs", "page"),
    "starlette": ("The page needs", "page"),
    "transformers": ("Models other than the shipped pair, and bench, need", "hub"),
    "huggingface_hub": ("Models of the Hub, and Spaces, need", "hub"),
    "accelerate": ("Models spread over several devices need", "hub"),
    "spaces": ("A Space on ZeroGPU needs", "zerogpu"),
    "plotly": ("bench --plot needs", "plot"),
}


def missing(error: BaseException | None) -> str | None:
    """What to install, in a sentence, if `error` or what it was raised from is an optional library that is not there;
    None for any other error."""
    while error is not None:
        library = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if library in EXTRAS:
            need, extra = EXTRAS[library]
            return f"{need} {library}, which is not installed: pip install '{DISTRIBUTION}[{extra}]'"
        error = error.__cause__
    return None
