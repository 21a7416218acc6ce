"""The host under test: its packets, in and out, in the script's numbers and in its own."""
