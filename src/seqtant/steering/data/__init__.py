"""Contrast pairs, behavior prompts and helpfulness items."""
