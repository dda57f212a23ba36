"""Side-by-side measurements: one billing job done by this pipeline and by other systems, on the same inputs.

`python -m bench` (or `make bench`) writes the inputs once, runs every system on them in turn, checks each
answer against a reference of its own, and puts medians into docs/performance.md.
"""
