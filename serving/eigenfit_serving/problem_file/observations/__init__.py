"""The tables of observations."""
