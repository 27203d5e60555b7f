"""What ends a command."""


class CommandError(Exception):
    """A command could not do its work, and the message says all there is to say, in one line."""
