"""The columns of the output, the progress bar and the report."""
