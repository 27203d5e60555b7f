"""Arguments that operators refuse, though of tensors without numbers they take them."""
