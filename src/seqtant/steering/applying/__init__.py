"""Steering a model: hooks, biases, merged weights, generation."""
