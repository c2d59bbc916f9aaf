"""Greedy and beam decoding, word errors."""
