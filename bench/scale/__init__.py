"""How the shipped worker does as accounts, lanes, workers and time grow: `make scale`.

One measure a file; measure.py says what a measure is, deployment.py runs what all of them run.
"""
