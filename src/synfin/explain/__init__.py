"""Captures explained: what passed on each TCP connection, in which states both ends were, and what was unusual."""
