"""The problem file: TOML in, a problem with its starts and settings out."""
