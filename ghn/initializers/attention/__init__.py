"""Starts for self-attention: which weights make queries, keys and values of which head, and mimetic initialisation."""
