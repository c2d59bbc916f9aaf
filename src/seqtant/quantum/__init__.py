"""Autoregressive quantum states: ground states of spin lattices by exact sampling."""
