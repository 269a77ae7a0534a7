"""The page. The only room that imports gradio; no probability maths in here."""
