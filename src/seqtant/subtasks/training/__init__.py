"""Training with and without steps, decoding and scoring."""
