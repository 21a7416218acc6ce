"""Parameters and programs: rows E1 to E7."""
