"""Several fits of one problem: all its solutions, or levels in unknown order."""
