"""Families of models that are large in one way each; `benchmarks.size` measures them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

WIDTH = 8
"""Features of every layer."""


class Wrapper(nn.Module):
    """A module around a module."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner, self.layer = inner, nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """The layer after what is inside."""
        return self.layer(self.inner(x))


class Forward(nn.Module):
    """Parts, and a function that says how they are called.

    Args:
        forward: Of the parts and the inputs.
        parts: Modules or parameters.
    """

    def __init__(self, forward: Callable[..., Any], parts: Any) -> None:
        super().__init__()
        self.parts, self.way = parts, forward

    def forward(self, *inputs: Any) -> Any:
        """What the function makes of them."""
        return self.way(self.parts, *inputs)


def _layers(count: int, inputs: int = WIDTH, outputs: int = WIDTH) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(inputs, outputs) for _ in range(count))


def chain(n: int) -> nn.Module:
    """n layers in a row."""
    return nn.Sequential(*_layers(n))


def nested(n: int) -> nn.Module:
    """n modules, each inside the one before."""
    model: nn.Module = nn.Linear(WIDTH, WIDTH)
    for _ in range(n):
        model = Wrapper(model)
    return model


def summed(n: int) -> nn.Module:
    """n branches of one input, added up one by one."""
    return Forward(lambda parts, x: sum(part(x) for part in parts), _layers(n))


def concatenated(n: int) -> nn.Module:
    """n branches of one input, concatenated at once."""
    return Forward(lambda parts, x: torch.cat([part(x) for part in parts], -1), _layers(n))


def multiplied(n: int) -> nn.Module:
    """n branches of one input, multiplied one by one: no primitive stands where they meet."""

    def forward(parts: nn.ModuleList, x: Tensor) -> Tensor:
        product = x
        for part in parts:
            product = product * part(x)
        return product

    return Forward(forward, _layers(n))


def averaged_heads(n: int) -> nn.Module:
    """n heads of one input, averaged."""
    return Forward(lambda parts, x: torch.stack([part(x) for part in parts]).mean(0), _layers(n))


def many_inputs(n: int) -> nn.Module:
    """n branches of an input each."""
    return Forward(lambda parts, xs: sum(part(x) for part, x in zip(parts, xs, strict=True)), _layers(n))


def dense(n: int) -> nn.Module:
    """Each of √(2n) layers sees all before, so that n edges lead from one to the other."""
    depth = math.isqrt(2 * n)

    def forward(parts: nn.ModuleList, x: Tensor) -> Tensor:
        found = [x]
        for part in parts:
            found.append(part(torch.cat(found, -1)))
        return found[-1]

    return Forward(forward, nn.ModuleList(nn.Linear(WIDTH * (i + 1), WIDTH) for i in range(depth)))


def shared(n: int) -> nn.Module:
    """n uses of one layer."""

    def forward(part: nn.Module, x: Tensor) -> Tensor:
        for _ in range(n):
            x = part(x)
        return x

    return Forward(forward, nn.Linear(WIDTH, WIDTH))


def parameter_list(n: int) -> nn.Module:
    """n matrices in a list, multiplied with features."""

    def forward(parts: nn.ParameterList, x: Tensor) -> Tensor:
        for part in parts:
            x = x @ part
        return x

    return Forward(forward, nn.ParameterList(nn.Parameter(torch.empty(WIDTH, WIDTH)) for _ in range(n)))


def stacked_weights(n: int) -> nn.Module:
    """One weight, concatenated of n parameters."""
    parameters = nn.ParameterList(nn.Parameter(torch.empty(1, WIDTH)) for _ in range(n))
    return Forward(lambda parts, x: nn.functional.linear(x, torch.cat(list(parts))), parameters)


def steps(n: int) -> nn.Module:
    """n steps of one recurrent cell."""

    def forward(part: nn.Module, x: Tensor) -> Tensor:
        state = torch.zeros_like(x)
        for _ in range(n):
            state = part(x, state)
        return state

    return Forward(forward, nn.GRUCell(WIDTH, WIDTH))


def outputs(n: int) -> nn.Module:
    """A dict of n tensors."""
    return Forward(lambda parts, x: {str(i): part(x) for i, part in enumerate(parts)}, _layers(n))


def data_views(n: int) -> nn.Module:
    """n layers whose input is detached by `.data`, which no operator shows."""

    def forward(parts: nn.ModuleList, x: Tensor) -> Tensor:
        for part in parts:
            x = part(x.data)
        return x

    return Forward(forward, _layers(n))


def constants(n: int) -> nn.Module:
    """n layers, and a number made beside each."""

    def forward(parts: nn.ModuleList, x: Tensor) -> Tensor:
        for part in parts:
            x = part(x) + torch.tensor([1.0])
        return x

    return Forward(forward, _layers(n))


def written(n: int) -> nn.Module:
    """n columns of one buffer, written one by one."""

    def forward(parts: nn.ModuleList, x: Tensor) -> Tensor:
        buffer = x.new_zeros(len(x), n, WIDTH)
        for i, part in enumerate(parts):
            buffer[:, i] = part(x)
        return buffer

    return Forward(forward, _layers(n))


def remembered(n: int) -> nn.Module:
    """n steps that write what they find into a buffer, and read what the step before wrote there."""

    def forward(parts: nn.ModuleList, x: Tensor) -> Tensor:
        buffer = x.new_zeros(len(x), n + 1, WIDTH)
        buffer[:, 0] = x
        for i, part in enumerate(parts):
            buffer[:, i + 1] = part(buffer[:, i])
        return buffer

    return Forward(forward, _layers(n))


def written_over(n: int) -> nn.Module:
    """One column of a buffer, read and written over n times."""

    def forward(parts: nn.ModuleList, x: Tensor) -> Tensor:
        buffer = x[:, None].repeat(1, 2, 1)
        for part in parts:
            buffer[:, 0] = part(buffer[:, 0])
        return buffer

    return Forward(forward, _layers(n))


def scattered(n: int) -> nn.Module:
    """n columns of one tensor, replaced one by one without writing."""

    def forward(parts: nn.ModuleList, x: Tensor) -> Tensor:
        columns = x.new_zeros(len(x), n, WIDTH)
        for i, part in enumerate(parts):
            columns = torch.slice_scatter(columns, part(x)[:, None], 1, i, i + 1)
        return columns

    return Forward(forward, _layers(n))


def views_changed(n: int) -> nn.Module:
    """n views of one tensor, made first and changed in place afterwards."""

    def forward(parts: nn.ModuleList, x: Tensor) -> Tensor:
        whole = x.new_zeros(len(x), n, WIDTH)
        for view, part in zip(whole.unbind(1), parts, strict=True):
            view.add_(part(x))
        return whole

    return Forward(forward, _layers(n))


def pooled(n: int) -> nn.Module:
    """n residual blocks, each with an average over space that is no channel gate."""

    def forward(parts: nn.ModuleList, x: Tensor) -> Tensor:
        for part in parts:
            x = x + part(x.mean((2, 3)))[:, :, None, None]
        return x

    return Forward(forward, _layers(n))


def modulated(n: int) -> nn.Module:
    """n products with averages of what is not multiplied: channel gates in all but that."""

    def forward(parts: nn.ModuleList, x: Tensor) -> Tensor:
        gated, others = x, x
        for part in parts:
            others = others + part(gated.mean((2, 3)))[:, :, None, None]
            gated = gated * part(others.mean((2, 3)))[:, :, None, None]
        return gated

    return Forward(forward, _layers(n))


def masked(n: int) -> nn.Module:
    """A mask to which n branches contribute, and which decides over features each time."""

    def forward(parts: nn.ModuleList, x: Tensor) -> Tensor:
        mask = x > 0
        for part in parts:
            mask = mask | (part(x) > 0)
            x = torch.where(mask, x, -x)
        return x

    return Forward(forward, _layers(n))


def merged_weight(n: int) -> nn.Module:
    """One weight, added up of n parameters one by one."""
    parameters = nn.ParameterList(nn.Parameter(torch.empty(WIDTH, WIDTH)) for _ in range(n))
    return Forward(lambda parts, x: nn.functional.linear(x, functools.reduce(torch.add, parts)), parameters)


def unstacked_weights(n: int) -> nn.Module:
    """n weights that are stacked and used one by one."""

    def forward(parts: nn.ParameterList, x: Tensor) -> Tensor:
        stacked = torch.stack(list(parts))
        for i in range(n):
            x = nn.functional.linear(x, stacked[i])
        return x

    return Forward(forward, nn.ParameterList(nn.Parameter(torch.empty(WIDTH, WIDTH)) for _ in range(n)))


def collected(n: int) -> nn.Module:
    """What n branches find, appended to one tensor one by one."""

    def forward(parts: nn.ModuleList, x: Tensor) -> Tensor:
        found = x
        for part in parts:
            found = torch.cat([found, part(x)], -1)
        return found

    return Forward(forward, _layers(n))


def viewed_weight(n: int) -> nn.Module:
    """A weight that is transposed n times."""

    def forward(part: nn.Parameter, x: Tensor) -> Tensor:
        weight: Tensor = part
        for _ in range(n):
            weight = weight.t().contiguous()
        return x @ weight

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.empty(WIDTH, WIDTH))

        def forward(self, x: Tensor) -> Tensor:
            """The product."""
            return forward(self.weight, x)

    return Model()


FAMILIES: dict[str, Callable[[int], nn.Module]] = {
    family.__name__: family
    for family in (
        chain,
        nested,
        summed,
        concatenated,
        multiplied,
        averaged_heads,
        many_inputs,
        dense,
        shared,
        parameter_list,
        stacked_weights,
        steps,
        outputs,
        data_views,
        constants,
        written,
        remembered,
        written_over,
        scattered,
        views_changed,
        pooled,
        modulated,
        masked,
        merged_weight,
        unstacked_weights,
        collected,
        viewed_weight,
    )
}
"""Models by what they have many of."""


def example(family: str, n: int) -> Any:
    """What to call a family's model of size n with."""
    if family == "many_inputs":
        return ([torch.empty(2, WIDTH, device="meta") for _ in range(n)],)
    if family in ("pooled", "modulated"):
        return torch.empty(2, WIDTH, 4, 4, device="meta")
    return torch.empty(2, WIDTH, device="meta")
