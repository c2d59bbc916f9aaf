"""Align With Purpose and the methods beside it."""
