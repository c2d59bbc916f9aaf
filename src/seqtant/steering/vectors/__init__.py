"""Steering vectors: directions, extraction, files."""
