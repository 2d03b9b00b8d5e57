"""Analysis of a problem before it is fitted, and of an answer afterwards."""
