"""Reads exports back."""
