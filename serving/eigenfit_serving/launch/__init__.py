"""Starts a server of any kind, waits until it is ready, and stops it."""
