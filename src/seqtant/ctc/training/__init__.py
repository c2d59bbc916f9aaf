"""Training runs, guards, sweeps over the weight."""
