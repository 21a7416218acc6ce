"""A script against a host: its events in order and in time, and what left against what was expected."""
