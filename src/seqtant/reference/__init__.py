"""The model that ships: its synthetic world with exact probabilities, its recipe, its weights."""
