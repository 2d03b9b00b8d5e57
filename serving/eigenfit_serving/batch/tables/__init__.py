"""Reads, checks, converts and writes tables."""
