"""Runs what was exported in fresh processes."""
