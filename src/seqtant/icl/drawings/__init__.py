"""Drawings of the verbs, one file each."""
