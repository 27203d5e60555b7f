"""What cells compute, one file a kind."""
