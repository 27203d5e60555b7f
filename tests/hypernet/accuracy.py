"""How near writing must come to what the hypernetwork returns."""

import torch
from torch import Tensor


def assert_owed_accuracy(tensor: Tensor, expected: Tensor) -> None:
    """What `GHN.decode_into` owes: 1e-5 of the largest element (an element may be a difference of larger terms)."""
    owed = 1e-5 * float(expected.detach().abs().max())
    torch.testing.assert_close(tensor, expected, rtol=0, atol=owed)
