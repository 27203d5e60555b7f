"""What a tensor consists of: what was written into it, and which parameters stand side by side in it."""
