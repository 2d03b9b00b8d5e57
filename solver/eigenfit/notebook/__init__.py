"""What works in a notebook only; needs ipywidgets (the extra `notebook`)."""
