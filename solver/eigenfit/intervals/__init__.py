"""Intervals and comparisons that need many fits, all of them in compiled batches."""
