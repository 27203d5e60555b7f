"""A page on which one looks at a model: its graph by modules, and the values that starts give its parameters."""
