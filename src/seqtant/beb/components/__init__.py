"""P- and P+ of a mixture: personas, adapters, system prompts, models fitted to statements."""
