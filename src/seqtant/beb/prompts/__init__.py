"""Prompts in sentences: their ends, their sampling, their log-probabilities."""
