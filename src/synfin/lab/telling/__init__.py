"""Everyday pictures (G1) and the glossary (G2)."""
