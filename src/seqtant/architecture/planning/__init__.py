"""Depth and width for a budget."""
