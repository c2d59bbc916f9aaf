"""Fits of the theory's curves, the choice of a strength, checks of assumptions."""
