"""The figures of the pretraining room, one module per verb that draws."""
