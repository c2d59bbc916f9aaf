"""Instruments: one file per verb, each with ``run(config, context) -> Result``."""
