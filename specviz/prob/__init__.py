"""Distributions over a vocabulary, all randomness, and statistics. No models."""
