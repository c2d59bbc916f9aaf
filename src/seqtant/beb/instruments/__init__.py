"""One file per verb of the room."""
