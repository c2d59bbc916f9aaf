"""Greedy and beam decoding; words and their errors."""
