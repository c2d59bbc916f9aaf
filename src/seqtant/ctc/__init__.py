"""Can my CTC model have the property I care about: earlier emission, fewer word errors? (Align With Purpose)."""
