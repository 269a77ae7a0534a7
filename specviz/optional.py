"""Libraries that only a part of specviz needs, and the sentence for who uses that part without them."""

from __future__ import annotations

DISTRIBUTION = "specviz-decoding"
EXTRAS = {  # library: what needs it, and the extra of pyproject.toml that installs it
    "gradio": ("The page", "page"),
    "transformers": ("A model that is not shipped with specviz, and bench,", "hub"),
    "huggingface_hub": ("A model of the Hub", "hub"),
    "accelerate": ("A model spread over several devices", "hub"),
    "plotly": ("bench --plot", "plot"),
}


def missing(error: BaseException | None) -> str | None:
    """What to install, in a sentence, if `error` or what it was raised from is an optional library that is not there;
    None for any other error."""
    while error is not None:
        library = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if library in EXTRAS:
            part, extra = EXTRAS[library]
            return f"{part} needs {library}, which is not installed: pip install '{DISTRIBUTION}[{extra}]'"
        error = error.__cause__
    return None
