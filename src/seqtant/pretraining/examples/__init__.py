"""Makes training examples of segments and packs them into windows."""
