"""Networks that we train ourselves."""
