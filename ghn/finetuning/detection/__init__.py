"""Training a detector whose backbone has parameters from a start."""
