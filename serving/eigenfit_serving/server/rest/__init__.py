"""Predict, metadata and status over HTTP/1.1, and the page."""
