"""Training with and without steps; solving."""
