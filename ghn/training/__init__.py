"""What every training is made of; it knows no hypernetwork."""
