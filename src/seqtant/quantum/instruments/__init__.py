"""One module per verb of the room."""
