"""Checks of problem files beyond the types of their entries."""
