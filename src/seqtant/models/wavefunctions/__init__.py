"""Autoregressive wave functions over lattices."""
