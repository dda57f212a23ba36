"""Exactly-once batches inside Faust: whole fetches in, one Kafka transaction a batch and lane out.

The engine knows no billing: an application gives it a Job (job.py) and gets lanes (lane.py).
docs/architecture.md tells how a batch travels; docs/decisions/ why Faust's own path is not taken.
"""
