"""Behavior from -1 (bad) to 1 (good): scorers of answers, and how a model's behavior after prompts is read."""
