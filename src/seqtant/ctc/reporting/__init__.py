"""Records and timelines."""
