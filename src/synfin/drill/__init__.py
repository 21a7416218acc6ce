"""Drills: hosts under test, real and our own, that are sent chosen packets."""
