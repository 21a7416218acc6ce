"""Closing a connection: rows C1 to C13."""
