"""A page on this machine to steer a model by hand: text side by side, the trade-off, the strength for a budget."""
