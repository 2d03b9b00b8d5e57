"""The tables of structures."""
