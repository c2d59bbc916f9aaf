"""One file per verb that draws: Result -> figures with their tables and words."""
