"""Recognizers, data sets, latency."""
