"""The gate of all requests, metrics and the access log."""
