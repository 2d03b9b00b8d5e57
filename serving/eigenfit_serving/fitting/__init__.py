"""Fits problem files, here or on a server, and writes the results."""
