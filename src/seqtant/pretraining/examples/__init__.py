"""Packing of segments into training examples."""
