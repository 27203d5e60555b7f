"""Ways to call a model so that its forward pass can be recorded."""
