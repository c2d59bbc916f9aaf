"""Measurements of a model against the world it was trained on."""
