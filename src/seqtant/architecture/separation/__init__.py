"""Separation ranks, exactly."""
