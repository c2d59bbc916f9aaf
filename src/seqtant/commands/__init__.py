"""What every command shares: flags, configuration, progress bars, delivery of results, exit codes."""
