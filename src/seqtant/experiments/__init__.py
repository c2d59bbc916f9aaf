"""Recipes and published claims: experiments that run instruments by name, and the records kept of them."""
