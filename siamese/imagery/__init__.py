"""Reading satellite images safely."""
