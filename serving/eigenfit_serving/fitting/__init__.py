"""Fits of problem files, here or on a server, and what they leave."""
