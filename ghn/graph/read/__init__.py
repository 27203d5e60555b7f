"""What recorded operators mean: rules of data flow that find primitives and parameters."""
