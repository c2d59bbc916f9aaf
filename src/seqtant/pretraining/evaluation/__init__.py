"""Evaluates models: gains from related text, models trained on the arms."""
