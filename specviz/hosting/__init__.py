"""specviz on the web: a Gradio Space, made ready, checked and pushed; and a static site of recorded runs."""
