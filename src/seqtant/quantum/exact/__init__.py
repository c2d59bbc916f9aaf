"""Exact diagonalization and sums over orbits."""
