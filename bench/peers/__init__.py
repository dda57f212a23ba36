"""The same job done by other systems: one program each, started by bench/, importing nothing of Evergreen.

They run by `python -m bench.peers.NAME`, and know the broker from BENCH_BROKER.
"""
