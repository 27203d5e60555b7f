"""Predict good initial parameters for any PyTorch model with graph hypernetworks."""
