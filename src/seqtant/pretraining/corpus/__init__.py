"""Reads documents and cuts them into tokenized segments."""
