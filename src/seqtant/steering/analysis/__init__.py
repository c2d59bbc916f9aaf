"""The choice of a strength."""
