"""Encoders, neighbors, orderings."""
