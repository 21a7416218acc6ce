"""Connections written down as scripts, from traces and captures."""
