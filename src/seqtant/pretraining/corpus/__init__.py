"""Documents, tokenizers, segments."""
