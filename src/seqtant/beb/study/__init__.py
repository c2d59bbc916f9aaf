"""One measurement of breaking lengths from model to record."""
