"""Families of transformers: a configuration file in, the shape of the network out; no torch, no transformers."""
