"""The arguments of a forward pass in every form that they are given in."""

from collections import OrderedDict, namedtuple

import numpy as np
import pytest
import torch

from ghn.graph.run.arguments import Inputs, given_inputs

X, Y = torch.zeros(2, 3), torch.zeros(1, dtype=torch.long)
Pair = namedtuple("Pair", "first second")


@pytest.mark.parametrize(
    ("given", "args", "kwargs"),
    [
        (X, (X,), {}),
        ((X, Y), (X, Y), {}),
        ([X, Y], (X, Y), {}),
        ((), (), {}),
        ({"a": X}, (), {"a": X}),
        (OrderedDict(a=X), (), {"a": X}),
        (((X,), {"a": Y}), (X,), {"a": Y}),
        (((), {}), (), {}),
        # A dict beside a tensor is an argument, not keyword arguments.
        ((X, {"a": Y}), (X, {"a": Y}), {}),
        # Nor are three things a pair.
        (((X,), {"a": Y}, X), ((X,), {"a": Y}, X), {}),
        (Inputs((X,), {"a": Y}), (X,), {"a": Y}),
    ],
)
def test_forms(given: object, args: tuple, kwargs: dict) -> None:
    inputs = given_inputs(given)
    # By identity: tensors compare by element.
    assert repr(inputs.args) == repr(args)
    assert repr(dict(inputs.kwargs)) == repr(kwargs)


@pytest.mark.parametrize("given", ["text", 3, None, {1, 2}])
def test_what_is_no_input(given: object) -> None:
    with pytest.raises(ValueError, match=f"example_inputs must be a tensor.*not {type(given).__name__}"):
        given_inputs(given)


def test_every_tensor_is_found_once_and_replaced_wherever_it_stands() -> None:
    inputs = Inputs((X, [X, {"deep": (Y, 3)}], Pair(Y, None)), {"a": [X]})
    assert [tensor is X for tensor in inputs.tensors()] == [True, False]
    args, kwargs = inputs.map(lambda tensor: tensor + 1)
    assert args[1][1]["deep"][0].item() == 1
    assert args[1][1]["deep"][1] == 3
    assert isinstance(args[2], Pair)
    assert kwargs["a"][0].sum() == 6
    assert args[0] is args[1][0] is kwargs["a"][0], "what was one tensor is one"
    assert X.sum() == 0, "what was given is left as it is"


def test_are_told_by_type_and_shape() -> None:
    assert str(Inputs((X,), {"a": Y})) == "float32(2, 3), int64(1,)"
    assert str(Inputs((3,))) == "no inputs"


def test_the_same_tensor_given_twice_is_told_twice() -> None:
    assert str(Inputs((X, [X], Y))) == "float32(2, 3), float32(2, 3), int64(1,)"


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_nested_tensor_has_no_shape_to_tell() -> None:
    assert str(Inputs((torch.nested.nested_tensor([X[0], X[0, :1]]),))) == "float32(nested)"


@pytest.mark.parametrize(
    ("args", "tell"),
    [((X, True, None), False), ((X, ["a text"]), True), (([[1, 2]],), True), ((X, np.zeros(2)), True), ((), False)],
)
def test_whether_they_hold_data_that_is_no_tensor(args: tuple, tell: bool) -> None:
    assert Inputs(args).tell is tell
