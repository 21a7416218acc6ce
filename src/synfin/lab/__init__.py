"""Experiments: small scenarios in the simulated network, each readable as an example of the library."""
