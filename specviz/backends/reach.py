"""Whether the Hub can be reached, found out in seconds: its own client, and transformers, would try for minutes."""

from __future__ import annotations

from specviz.types import ModelError

SECONDS = 5.0  # to wait for an answer


def check(model: str) -> None:
    """ModelError if a model, by its Hub id, is neither kept on this machine nor to be had from a Hub that answers. What else is
    wrong with it, loading it says."""
    import huggingface_hub
    from huggingface_hub import errors

    try:
        huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(model, "config.json"), timeout=SECONDS)
    except (errors.HfHubHTTPError, errors.HFValidationError):
        return
    except Exception as error:  # a network fails in many ways
        if not isinstance(huggingface_hub.try_to_load_from_cache(model, "config.json"), str):
            raise ModelError(
                f"{model!r} was not found: it is no folder here, and the Hub cannot be reached or is switched off."
            ) from error
