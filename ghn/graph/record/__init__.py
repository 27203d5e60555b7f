"""The record of one forward pass, operator by operator; it knows nothing of primitives."""
