"""The verbs of the pretraining room, one module each."""
