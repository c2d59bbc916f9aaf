"""The CTC lattice: paths, likelihoods, forced alignment."""
