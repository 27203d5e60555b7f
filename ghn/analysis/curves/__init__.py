"""Curves of trainings, while they run: a page that reads the logs below a folder."""
