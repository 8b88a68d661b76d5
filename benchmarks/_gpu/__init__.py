"""The check that any machine with a GPU runs: `python -m benchmarks.gpu`. See "On a GPU" in the README beside."""
