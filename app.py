"""The page, served: `python app.py`. Honours GRADIO_SERVER_NAME and GRADIO_SERVER_PORT; with SPECVIZ_PAIR (a
name, or a folder with a pair.json), or SPECVIZ_DRAFT and SPECVIZ_VERIFIER (a folder or a Hub id each), SPECVIZ_DEVICE and
SPECVIZ_DTYPE it runs other models. SPECVIZ_DEADLINE: the seconds that a run may take."""

from __future__ import annotations

import os


def main() -> None:
    from specviz.ui import page
    from specviz.ui.desk import Desk

    desk = Desk(load, float(os.environ.get("SPECVIZ_DEADLINE", "120")))
    blocks = page.build(desk)
    desk.open()
    _, url, _ = blocks.launch(
        server_name=os.environ.get("GRADIO_SERVER_NAME"),
        server_port=int(os.environ["GRADIO_SERVER_PORT"]) if "GRADIO_SERVER_PORT" in os.environ else None,
        prevent_thread_lock=True,
        **page.launch_options(shipped=not {"SPECVIZ_PAIR", "SPECVIZ_VERIFIER"} & {*os.environ}),
    )
    print(f"specviz is ready at {url}", flush=True)
    blocks.block_thread()


def load():
    """The two models; `specviz.backends` brings torch, so it is imported here and not above."""
    from specviz import backends

    names = ("pair", "draft", "verifier", "device", "dtype")
    asked = {name: value for name in names if (value := os.environ.get(f"SPECVIZ_{name.upper()}"))}
    pair = backends.load_pair(**asked)
    backends.dedicate_process(pair)
    return pair


if __name__ == "__main__":
    main()
