"""Parameters, FLOPs and bottlenecks of a configuration."""
