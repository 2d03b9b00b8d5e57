"""The columns of the answer, progress, and the report."""
