"""Measurements of setfuse against what else its users could run; run with `python -m benchmarks.latency`."""
