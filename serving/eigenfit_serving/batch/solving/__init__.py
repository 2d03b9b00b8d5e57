"""Fits many rows and chooses among their solutions."""
