"""Pieces of work that do not depend on each other, in several processes."""
