"""The work of a run, and how much of it is done."""
