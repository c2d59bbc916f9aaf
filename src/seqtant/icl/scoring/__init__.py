"""Accuracy by number of shots, and what evidence explains it."""
