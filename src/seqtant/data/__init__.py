"""Text, speech, synthetic languages, shards."""
