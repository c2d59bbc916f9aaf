"""Lattices and their symmetries, Pauli sums, Hamiltonians."""
