"""One file per verb that draws: from a result to its figures."""
