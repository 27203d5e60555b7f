"""See every layer of a model at work: each product of data and a weight, whatever module or function makes it.

Layers are told by the operators that run. A weight is what is made of parameters without data: a parameter, a view of
one, or one that is standardised, masked or put together before it is used.

Legend: B images, R rows (all axes of an output but the channels).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ghn.common.private_torch import OperatorMode, storage_address
from ghn.graph.read.operators import CONVOLUTIONS, COPIES, LAYERS, VIEWS
from ghn.graph.record.trees import tensors_in


@dataclass(frozen=True, kw_only=True)
class Application:
    """A layer's weight applied to data.

    Attributes:
        number: How many came before.
        name: Of the parameter; the largest one where a weight is made of several.
        output: What came of it, with the bias.
        channels: Axis of `output` that holds the layer's output channels.
    """

    number: int
    name: str
    output: Tensor
    channels: int

    def rows(self, values: Tensor | None = None) -> Tensor:
        """The output (or values of its shape) as (R, channels)."""
        values = self.output if values is None else values
        if values.dim() < 2:
            return values.reshape(1, -1)
        return values.movedim(self.channels, -1).flatten(0, -2)


class Layers(OperatorMode):
    """Context in which every application of a weight is told, in the order of the forward pass.

    Args:
        parameters: By name, as the model uses them.
        buffers: Masks and the like, which weights may be made of as well.
        tell: Called when there is an output, before anything else sees it or changes it in place. Where gradients are
            on, autograd knows it: it takes hooks.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        tell: Callable[[Application], None],
        *,
        buffers: Iterable[Tensor] = (),
    ) -> None:
        super().__init__()
        self._parameters, self._tell = parameters, tell
        # Names of the parameters that what lies at an address is made of; what is not here is data, or made of it.
        self._owners: dict[int, frozenset[str]] = {}
        # Memory is told by its address, which stays another's as long as this lives.
        self._held: list[Tensor] = []
        self._count = 0
        # An output to which a bias may yet be added.
        self._waiting: Application | None = None
        for name, parameter in parameters.items():
            self._own(parameter, frozenset([name]))
        for buffer in buffers:
            self._own(buffer, frozenset())

    def __exit__(self, *given: Any) -> None:
        super().__exit__(*given)
        if given[0] is None:
            self._tell_waiting()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operator."""
        given = list(tensors_in((args, kwargs or {})))
        owners = [self._owners.get(storage_address(tensor)) for tensor in given]
        name = func.overloadpacket.__name__
        waiting = self._waiting
        if waiting is not None and given and storage_address(given[0]) == storage_address(waiting.output):
            if len(given) == 1 and name in VIEWS - COPIES:
                return func(*args, **(kwargs or {}))
            if name.rstrip("_") == "add" and len(given) == 2 and owners[1] and given[1].dim() <= 1:
                result = func(*args, **(kwargs or {}))
                axis = waiting.channels - waiting.output.dim()
                self._waiting = replace(waiting, output=result, channels=axis % result.dim())
                return result
        self._tell_waiting()
        result = func(*args, **(kwargs or {}))
        if all(owner is not None for owner in owners) and not self._on_constants(name, given, owners):
            # Of no tensors at all: a constant, as long as no data are written into it.
            made_of = frozenset().union(*(owner for owner in owners if owner))
            for tensor in tensors_in(result):
                self._own(tensor, made_of)
            return result
        for tensor in tensors_in(result):
            self._owners.pop(storage_address(tensor), None)
        if any(owners) and name in LAYERS and isinstance(result, Tensor):
            self._see(name, given, owners, result)
        return result

    def _tell_waiting(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._tell(waiting)

    def _own(self, tensor: Tensor, names: frozenset[str]) -> None:
        address = storage_address(tensor)
        self._owners[address] = self._owners.get(address, frozenset()) | names
        self._held.append(tensor)

    def _on_constants(self, name: str, given: list[Tensor], owners: list[frozenset[str] | None]) -> bool:
        """Whether a weight is applied to what no parameter made: zeros before the first step, noise, a table."""
        if name not in LAYERS:
            return False
        kinds = {bool(owner) for owner, tensor in zip(owners, given, strict=True) if tensor.dim() > 1}
        return kinds == {True, False}

    def _see(self, name: str, given: list[Tensor], owners: list[frozenset[str] | None], result: Tensor) -> None:
        weights = [place for place, owner in enumerate(owners) if owner and given[place].dim() > 1]
        made = [bool(owner) or tensor.dim() < 2 for owner, tensor in zip(owners, given, strict=True)]
        if not weights or all(made):
            return
        names = frozenset().union(*(owners[place] or () for place in weights))
        largest = max(sorted(names), key=lambda one: self._parameters[one].numel())
        if name in CONVOLUTIONS:
            channels = 1
        else:
            # The last two operands are multiplied; a weight on the left has its outputs along the rows.
            channels = -2 if len(given) - 2 in weights and result.dim() > 1 else -1
        self._waiting = Application(
            number=self._count, name=largest, output=result, channels=channels % max(1, result.dim())
        )
        self._count += 1


@torch.no_grad()
def rows_of_images(run: Callable[[Tensor, Callable[[Application], None]], Any], images: Tensor) -> dict[int, int]:
    """How the rows of each layer's output belong to images: of row r it is image r // d % B, for the d that is given.

    Layers may see positions as rows, by image or all images by position. The numbers of one image are made NaN and
    followed: what depends on the image becomes NaN too. So the model must treat images apart (evaluation mode).

    Args:
        run: Runs the model on images and tells each application.
        images: (B, ...), at least two.

    Returns:
        By number of the application; those without such an order are left out.
    """
    marked = images.clone()
    marked[0] = float("nan")
    found: dict[int, int] = {}

    def look(application: Application) -> None:
        hit = application.rows().isnan().all(1).nonzero()[:, 0]
        total, count = len(application.rows()), len(images)
        if total % count or not len(hit):
            return
        # Positions that were put around the image are no NaN.
        for run_length in range(total // count, 0, -1):
            if total // count % run_length == 0 and not bool((hit // run_length % count).any()):
                found[application.number] = run_length
                return

    run(marked, look)
    return found
