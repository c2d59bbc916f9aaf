"""How deep, how wide, and is the vocabulary choking the width? (depth-to-width interplay, vocabulary bottleneck)."""
