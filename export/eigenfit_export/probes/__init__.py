"""Inputs with known answers, and how exactly these must be met."""
