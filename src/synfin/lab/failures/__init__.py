"""When things go wrong in the world: rows D1 to D5."""
