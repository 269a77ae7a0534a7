"""specviz: see, measure and trust how an acceptance rule decides which drafted tokens live."""

__version__ = "0.1.0"
