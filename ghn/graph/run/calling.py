"""Calling a user's model: what it raises is an error of the model's, and no end of the program."""

from __future__ import annotations

from typing import Any

from torch import nn


def call_model(model: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """The model's output.

    Raises:
        RuntimeError: If its forward pass asks for the end of the program (`sys.exit`); Ctrl-C stays what it is.
        Exception: Whatever else it raises.
    """
    try:
        return model(*args, **kwargs)
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise RuntimeError(f"it asks for the end of the program ({type(error).__name__}: {error!s:.80})") from error
