"""Fits of many rows, and the choice among their solutions."""
