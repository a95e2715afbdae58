"""The commands of `run.py`, thin over `chalicelib.operations`. Each returns its exit code."""
