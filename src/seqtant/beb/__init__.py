"""How long a prompt breaks the alignment? (Behavior Expectation Bounds).

Importing this package loads neither NumPy nor torch; the public names below are imported when first used.
"""
