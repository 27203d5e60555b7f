"""Signals that ask to stop."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from ghn.training.signals import on_stop_signal

BOTH = (signal.SIGTERM, signal.SIGINT)


@pytest.fixture
def outer() -> Iterator[list[int]]:
    """Signals that reach the handlers from before, in order."""
    arrived: list[int] = []

    def record(number: int, _: FrameType | None) -> None:
        arrived.append(number)

    before = [signal.signal(number, record) for number in BOTH]
    yield arrived
    for number, handler in zip(BOTH, before, strict=True):
        signal.signal(number, handler)


def send(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", BOTH)
def test_the_first_asks_and_the_second_has_its_usual_effect(outer: list[int], number: int) -> None:
    asked: list[int] = []
    with on_stop_signal(lambda: asked.append(1)):
        send(number)
        assert (asked, outer) == ([1], [])
        send(number)
        assert (asked, outer) == ([1], [number])
    send(number)
    assert (asked, outer) == ([1], [number, number])


def test_either_asks_once(outer: list[int]) -> None:
    asked: list[int] = []
    with on_stop_signal(lambda: asked.append(1)):
        send(signal.SIGTERM, signal.SIGINT)
        assert (asked, outer) == ([1, 1], [])
        send(signal.SIGTERM)
        assert outer == [signal.SIGTERM]


def test_an_error_brings_the_old_handlers_back(outer: list[int]) -> None:
    def fail() -> None:
        with on_stop_signal(lambda: None):
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    send(*BOTH)
    assert outer == list(BOTH)


def test_nothing_is_installed_outside_the_main_thread(outer: list[int]) -> None:
    before, found, asked = [signal.getsignal(number) for number in BOTH], [], []

    def within() -> None:
        with on_stop_signal(lambda: asked.append(1)):
            found.append([signal.getsignal(number) for number in BOTH])

    thread = threading.Thread(target=within)
    thread.start()
    thread.join()
    assert found == [before]
    assert not asked
