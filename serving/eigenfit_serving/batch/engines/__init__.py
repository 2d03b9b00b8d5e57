"""Engines that run the workers: local processes, or actors of Ray."""
