"""Intervals, bootstraps, fits and log-space arithmetic."""
