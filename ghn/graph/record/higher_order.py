"""What operators that take functions do, run through so that the operators of these functions are recorded.

Which branch is taken, and how often a loop runs, depends on numbers; which layers feed which does not. Both branches of
a condition run, and the body of a loop or scan runs once: one node for each layer, as for recurrent layers.

Source: `torch.cond`, `while_loop`, `scan`, `map` and `flex_attention` of PyTorch (control flow operators).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ghn.graph.record.op_graph import BRANCHES, FLEX_ATTENTION
from ghn.graph.record.recorder import Recorder
from ghn.graph.record.trees import map_tensors, tensors_in


def _cond(recorder: Recorder, func: Any, pred: Any, yes: Any, no: Any, operands: Sequence[Any] = ()) -> Any:
    first, second = yes(*operands), no(*operands)
    others = iter(list(tensors_in(second)))
    return map_tensors(first, lambda tensor: _either(recorder, pred, tensor, next(others)))


def _either(recorder: Recorder, pred: Any, first: Tensor, second: Tensor) -> Tensor:
    def chosen(pred: Any, first: Tensor, second: Tensor) -> Tensor:
        known = not isinstance(pred, Tensor) or not (pred.is_meta or first.is_meta)
        taken = first if not known or _says_yes(pred) else second
        return taken.clone()

    return recorder.record_whole(BRANCHES, chosen, (pred, first, second))


def _says_yes(pred: Any) -> bool:
    try:
        return bool(pred)
    except RuntimeError:
        # A fake tensor holds no numbers; either branch has the shape.
        return True


def _while_loop(
    recorder: Recorder, func: Any, cond: Any, body: Any, carried: Sequence[Any], further: Sequence[Any] = (), **_: Any
) -> Any:
    cond(*carried, *further)
    result = body(*carried, *further)
    return tuple(result) if isinstance(result, (tuple, list)) else (result,)


def _scan(
    recorder: Recorder,
    func: Any,
    combine: Any,
    init: Sequence[Any],
    xs: Sequence[Any],
    *rest: Any,
    additional_inputs: Sequence[Any] = (),
    **_: Any,
) -> Any:
    # PyTorch 2.6 gives the axis, the direction and further inputs, later versions the last of these only.
    axis = rest[0] if rest and isinstance(rest[0], int) else 0
    further = rest[-1] if rest and not isinstance(rest[-1], int) else additional_inputs
    results = list(combine(*init, *(x.select(axis, 0) for x in xs), *further))
    carry, steps = results[: len(init)], results[len(init) :]
    length = xs[0].shape[axis]
    return (*carry, *(_repeated(step, length) for step in steps))


def _map(recorder: Recorder, func: Any, function: Any, xs: Sequence[Any], further: Sequence[Any] = (), **_: Any) -> Any:
    length = xs[0].shape[0]
    return map_tensors(function(*(x.select(0, 0) for x in xs), *further), lambda tensor: _repeated(tensor, length))


def _repeated(step: Any, length: int) -> Any:
    return step.unsqueeze(0).expand(length, *step.shape).clone() if isinstance(step, Tensor) else step


def _flex_attention(
    recorder: Recorder, func: Any, query: Tensor, key: Tensor, value: Tensor, modify: Any, *args: Any, **kwargs: Any
) -> Any:
    # What is added to the scores may be learned: once is enough to see from what.
    score = query.new_zeros(1)
    positions = [torch.zeros(1, dtype=torch.int64, device=query.device) for _ in range(4)]
    modified = modify(score, *positions, *(args[3] if len(args) > 3 else ()))

    def attend(query: Tensor, key: Tensor, value: Tensor, modified: Tensor) -> Any:
        try:
            return func(query, key, value, modify, *args, **kwargs)
        except NotImplementedError:
            # PyTorch 2.6 runs no such operator under a mode; its shapes are known.
            return query.new_zeros(*query.shape[:-1], value.shape[-1]), query.new_zeros(query.shape[:-1])

    return recorder.record_whole(FLEX_ATTENTION, attend, (query, key, value, modified))


HIGHER_ORDER: Mapping[str, Callable[..., Any]] = {
    "cond": _cond,
    "while_loop": _while_loop,
    "scan": _scan,
    "map_impl": _map,
    "flex_attention": _flex_attention,
}
"""How each runs: a function of the recorder, the operator, and the operator's arguments."""
