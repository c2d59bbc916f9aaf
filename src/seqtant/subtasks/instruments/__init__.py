"""One module per verb; each has ``run(config, context) -> Result``."""
