"""Starts from networks that are trained already: their own weights again, or those of another architecture."""
