"""A worker with one thing left out, to measure what it costs: `python -m bench.worker --without ...`.

Only bench/ has it: the shipped worker knows no such switch, and no deployment could ever want one.
"""
