"""Losses over a grid of depths and widths."""
