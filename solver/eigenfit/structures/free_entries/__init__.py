"""Matrices with a parameter for each free entry."""
