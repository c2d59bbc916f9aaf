"""Observables, sampling, evaluation of states."""
