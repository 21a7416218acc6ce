"""What the texts say, and what a host does (F2)."""
