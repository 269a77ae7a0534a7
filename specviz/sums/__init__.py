"""Sums over sorted vocabularies, in NumPy: what makes exact curves of whole families of laws cheap."""
