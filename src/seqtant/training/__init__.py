"""One training loop over Accelerate."""
