"""Runs exported artefacts in fresh processes and checks their numbers."""
