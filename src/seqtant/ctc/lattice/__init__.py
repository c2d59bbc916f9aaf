"""Paths through the CTC lattice: sums, alignments, schedules."""
