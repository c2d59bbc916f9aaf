"""One file per verb that draws."""
