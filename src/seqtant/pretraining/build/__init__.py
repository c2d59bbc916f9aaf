"""Builds examples stage by stage, opens, audits and streams them."""
