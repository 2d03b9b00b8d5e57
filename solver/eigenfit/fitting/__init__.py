"""The compiled fit: programs, their loop, and the verdict on its answer."""
