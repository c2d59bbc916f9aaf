"""The reference world: its facts, games, stories, sums and talks."""
