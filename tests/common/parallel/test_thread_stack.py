import threading

import pytest

from ghn.common.parallel.thread_stack import ThreadStack


def test_each_thread_has_its_own() -> None:
    stack: ThreadStack[str] = ThreadStack()
    seen = []
    with stack.within("outer"):
        thread = threading.Thread(target=lambda: seen.append(stack.current))
        thread.start()
        thread.join()
        with stack.within(None):
            assert stack.current is None
        assert stack.current == "outer"
    assert seen == [None]
    assert stack.current is None


def test_an_error_ends_it() -> None:
    stack: ThreadStack[int] = ThreadStack()
    with pytest.raises(KeyError), stack.within(1):
        raise KeyError
    assert stack.current is None


def test_back_to_a_level() -> None:
    stack: ThreadStack[int] = ThreadStack()
    stack.push(1)
    level = stack.level
    stack.push(2)
    stack.push(None)
    stack.back_to(level)
    assert (stack.current, stack.level) == (1, 1)
