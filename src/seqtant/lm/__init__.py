"""Causal language models: loading, hooks, exact scoring, generation, oracles with exact probabilities."""
