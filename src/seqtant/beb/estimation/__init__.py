"""From log-probabilities to alpha, beta and breaking lengths, with intervals and diagnostics."""
