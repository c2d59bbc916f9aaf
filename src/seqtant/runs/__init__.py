"""What happened: the recorder of one run, its environment, and the database that keeps every run."""
