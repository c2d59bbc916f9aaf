"""Align With Purpose, its properties, and the other losses."""
