"""Recognizers, corpora, latency."""
