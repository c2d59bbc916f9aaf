"""One module per drawn verb; each has ``figures(result)``."""
