"""The command `eigenfit`, one file for each of its commands."""
