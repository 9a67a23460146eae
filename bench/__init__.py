"""Benchmarks: each prints what it does and, as its last line, one JSON object with the raw figures.

May import anything; nothing imports bench. Side by side in one run, medians of several rounds, never a timed test.
"""
