"""What the commands of the reference model run."""
