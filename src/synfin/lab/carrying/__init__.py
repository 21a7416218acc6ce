"""Carrying data: rows B1 to B9."""
