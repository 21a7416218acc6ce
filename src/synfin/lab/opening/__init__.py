"""Opening a connection: rows A1 to A16."""
