"""The main job: point every instrument that applies at one language model, or at two, and write one report."""
