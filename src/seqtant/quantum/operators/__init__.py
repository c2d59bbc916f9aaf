"""Lattices, Pauli sums, Hamiltonians, symmetries, local energies."""
