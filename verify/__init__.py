"""The project's conscience: an independent check of the invariants over the Kafka topics.

Owns its own reading of the contract, from pricing to partitioning; it must never import the rules that it
judges (streams.domain, streams.lanes, streams.agents).
"""
