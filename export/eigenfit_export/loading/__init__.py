"""Loads exported solvers."""
