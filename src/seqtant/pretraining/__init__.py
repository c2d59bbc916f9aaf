"""Which texts should share a training example? (the inductive bias of in-context learning).

Importing this package loads neither NumPy nor torch; the public names below are imported when first used.
"""
