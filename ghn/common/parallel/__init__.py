"""Processes and threads beside each other."""
