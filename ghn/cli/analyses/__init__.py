"""What `ghn analyze` can do: one file a task, each with a dataclass `Options` and a function `run(options)`."""
