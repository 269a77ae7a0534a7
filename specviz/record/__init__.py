"""The record of a run: rounds, the trace that holds them, its check, its verification, its figures."""
