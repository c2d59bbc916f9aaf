"""Prompts in sentences: sampling, sentence ends, evidence along them."""
