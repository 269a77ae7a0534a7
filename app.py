"""The page, served: `python app.py` is `specviz page`, for a Space and for a clone. What that takes as options is set
here by the environment: GRADIO_SERVER_NAME, GRADIO_SERVER_PORT, SPECVIZ_PAIR, SPECVIZ_DRAFT, SPECVIZ_VERIFIER, SPECVIZ_DEVICE,
SPECVIZ_DTYPE, SPECVIZ_DEADLINE."""

from specviz.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["page"]))
