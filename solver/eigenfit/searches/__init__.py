"""Several fits for one problem: all its solutions, or levels without an order."""
