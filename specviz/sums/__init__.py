"""Sums over two distributions sorted by their ratio: what whole families of output laws accept and how far they stray. NumPy only."""
