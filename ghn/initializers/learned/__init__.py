"""Starts that learn a scale for each tensor of a model, whatever start it has: MetaInit, GradInit, NIO."""
