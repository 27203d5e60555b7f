import gc
import weakref

import torch

from ghn.graph.record.known import KnownTensors


def test_numbers_and_versions_by_identity() -> None:
    known = KnownTensors()
    first, second = torch.zeros(2), torch.zeros(2)
    known[first] = 3
    assert first in known
    assert (known[first], known.version(first)) == (3, 0)
    assert second not in known
    assert known.get(second) is None
    known.set_version(first, 5)
    known[first] = 4
    assert (known.get(first), known.version(first)) == (4, 5)


def test_tensors_are_forgotten_when_they_die() -> None:
    known = KnownTensors()
    kept = torch.zeros(2)
    known[kept] = 0
    assert known.in_same_place(kept) is kept
    for number in range(100):
        known[torch.zeros(2)] = number
    assert len(known._marks) == 1
    assert known._places is not None
    assert len(known._places) == 1


def test_nothing_is_kept_alive() -> None:
    known, tensor = KnownTensors(), torch.zeros(2)
    known[tensor] = 0
    reference = weakref.ref(known)
    del known
    gc.collect()
    assert reference() is None
    del tensor


def test_another_view_of_the_same_elements() -> None:
    for device in ("cpu", "meta"):
        whole = torch.empty(4, 3, device=device)
        known = KnownTensors()
        known[whole] = 0
        assert known.in_same_place(whole.data) is whole
        assert known.in_same_place(whole.t()) is None
        assert known.in_same_place(whole[:3]) is None
        assert known.in_same_place(torch.empty(4, 3, device=device)) is None
        assert known.shares_memory(whole[:3])
        assert not known.shares_memory(torch.empty(4, 3, device=device))
        part = whole[1:]
        known[part] = 1
        assert known.in_same_place(part.data) is part


def test_one_of_two_views_may_die() -> None:
    whole = torch.empty(4, device="meta")
    known = KnownTensors()
    other = whole.data
    known[whole], known[other] = 0, 1
    alike = whole.data
    assert known.in_same_place(alike) is whole
    del whole
    assert known.in_same_place(alike) is other


def test_a_tensor_that_moved_to_other_memory_is_not_taken_for_what_stands_there_now() -> None:
    parameter = torch.nn.Parameter(torch.empty(4, device="meta"))
    known = KnownTensors()
    known[parameter] = 0
    before = parameter.data
    assert known.in_same_place(before) is parameter
    parameter.data = torch.empty(4, device="meta")
    assert known.in_same_place(before) is None


def test_a_tensor_that_only_c_holds_for_a_while() -> None:
    known, module = KnownTensors(), torch.nn.Module()
    known[torch.zeros(1)] = 9
    base = torch.zeros(3, requires_grad=True) + 1
    known[base] = 0
    view, number = base[1:], known[base]
    del base
    gc.collect()
    assert view._base is not None
    assert known.get(view._base) == number
    del module


def test_what_is_made_of_a_tensor_without_an_operator_inherits_its_number() -> None:
    known = KnownTensors()
    product = torch.ones(2, 3, device="meta") * 2
    known.put(product, 7, (0, (2, 3), (3, 1)))
    known.set_version(product, 4)
    parameter = torch.nn.Parameter(product)
    assert not known.inherit(parameter, (0, (2, 3), (3, 1))), "the product itself lives"
    del product
    assert known.shares_memory(parameter)
    assert not known.inherit(parameter, (0, (3, 2), (2, 1)))
    assert known.inherit(parameter, (0, (2, 3), (3, 1)))
    assert (known[parameter], known.version(parameter)) == (7, 4)
    assert not known.inherit(torch.empty(2, 3, device="meta"), (0, (2, 3), (3, 1)))


def test_memory_that_is_freed_does_not_pass_its_number_on() -> None:
    known = KnownTensors()
    for number in range(200):
        tensor = torch.zeros(8)
        assert not known.inherit(tensor, (0, (8,), (1,))), "another piece of memory has the address of one that is gone"
        known.put(tensor, number, (0, (8,), (1,)))
        del tensor


def test_a_tensor_that_has_left_its_memory_is_not_known() -> None:
    known, parameter = KnownTensors(), torch.nn.Parameter(torch.zeros(2))
    known.put(parameter, 1, (0, (2,), (1,)))
    parameter.data = torch.ones(2)
    known.leave(parameter)
    assert parameter not in known
    known[parameter] = 2
    del parameter
    assert not known._marks
