"""The invariants of the contract, one file each; every check is a function of the evidence."""
