"""Runs the signatures of a SavedModel."""
