"""Embeds segments, searches their neighbors, orders documents."""
