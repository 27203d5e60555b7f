"""What goes wrong with data sets, said so that the user knows what to do."""

from ghn.common.errors import OneLineError


class DataError(OneLineError):
    """A data set is missing, damaged or of another kind than asked for; the message is one line with the remedy."""
