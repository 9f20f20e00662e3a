"""Where orders of a sale may wait."""
