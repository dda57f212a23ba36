"""Upstream of the lanes: usage emitters, payments, settings, prices; FOCUS importer; simulated customers."""
