"""What code names and holds, in whatever file."""

import functools
import importlib
import sys
import types
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ghn.graph.run.code import global_names, is_followed, is_of_libraries, is_own, slots, values_of_class
from ghn.graph.trace import trace

LIST: list[int] = []
NUMBER = 0


def function() -> Any:
    def inner() -> None:
        global NUMBER
        NUMBER = len(LIST)

    return inner


def test_globals_of_inner_functions_are_named_too() -> None:
    named = global_names(function.__code__)
    assert {"LIST", "len"} <= named.names
    assert named.rebound == {"NUMBER"}
    assert (named.importing, named.by_text) == (False, False)
    assert global_names(test_globals_of_inner_functions_are_named_too.__code__).rebound == frozenset()


def test_classes() -> None:
    class Base:
        __slots__ = ("a",)
        number = 1

    class Kind(Base):
        __slots__ = ("b",)
        items: list[int] = []

        def method(self) -> None: ...

        @property
        def computed(self) -> int:
            return 1

    assert dict(values_of_class(Kind)) == {"items": Kind.items}
    assert [member.__name__ for member in slots(Kind)] == ["b", "a"]
    assert [is_of_libraries(kind) for kind in (Kind, nn.Linear, torch.Tensor, dict)] == [False, True, True, True]


FILES = {
    "helpers.py": """
        import itertools, threading
        import numpy as np
        import torch

        CACHE, SEEN, COUNTS, LOCAL = {}, [], np.zeros(1), threading.local()
        NUMBERS, CALLS = iter(range(9)), 0

        def cached(x):
            global CALLS
            CALLS += 1
            if 0 not in CACHE:
                CACHE[0] = torch.ones(4, device=x.device)
            return x * CACHE[0]

        class Store:
            shared = {}

            def __init__(self):
                self.held = {}

            @classmethod
            def put(cls, x):
                cls.shared["x"] = cls.last = x

            def keep(self, x):
                self.held["x"] = x
                SEEN.append(x)

        STORE = Store()
        """,
    "sub/__init__.py": "",
    "sub/deep.py": """
        from .. import helpers

        def through(x):
            helpers.SEEN.append(x)
            return helpers.cached(x)
        """,
    "sub/late.py": "KEPT = []",
}

CALLS = {
    "a function": "from {0}.helpers import cached\ndef call(x): cached(x)",
    "an object": "from {0}.helpers import STORE\ndef call(x): STORE.keep(x)",
    "a class": "from {0}.helpers import Store\ndef call(x): Store.put(x)",
    "a counter": "from {0}.helpers import COUNTS, LOCAL\ndef call(x): COUNTS[0] += 1; LOCAL.x = x",
    "an iterator": "from {0}.helpers import NUMBERS\ndef call(x): assert next(NUMBERS) == 0",
    "a module": "from {0} import helpers\ndef call(x): helpers.SEEN.append(x); helpers.LAST = x; helpers.CALLS = x",
    "a function of a module": "import {0}.sub.deep as s\ndef call(x): s.through(x)",
    "a module of a package": "import {0}.sub.deep\ndef call(x): {0}.sub.deep.through(x)",
    "an import inside": "def call(x):\n    from {0}.helpers import cached\n    cached(x)",
    "a relative import inside": "def call(x):\n    from .sub import late\n    late.KEPT.append(x)",
    "names that are text": "from {0} import helpers\ndef call(x):\n    setattr(helpers, 'la' + 'te', x)"
    "\n    getattr(helpers, 'SEEN').append(x)\n    globals()['mo' + 're'] = x",
    "a module that is held": "from {0} import helpers as held\ndef call(x, module):"
    " module.SEEN.append(x); module.new = x",
}


def _folder(files: dict[str, str], name: str, root: Path) -> None:
    for place, text in {"__init__.py": "", **files}.items():
        path = root / name / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("\n        ", "\n"), encoding="utf-8")


def _state(name: str) -> Any:
    """All that the files' variables hold."""
    modules = {place: module for place, module in sys.modules.items() if place.split(".")[0] == name}
    helpers: Any = modules.get(f"{name}.helpers")
    numbers = None if helpers is None else helpers.NUMBERS.__reduce__()[-1]
    deep = [dict(helpers.CACHE), list(helpers.SEEN), *helpers.COUNTS, dict(helpers.LOCAL.__dict__)] if helpers else []
    deep += [dict(helpers.Store.shared), dict(vars(helpers.Store)), dict(helpers.STORE.held)] if helpers else []
    late: Any = modules.get(f"{name}.sub.late")
    return numbers, deep, late and list(late.KEPT), {place: dict(vars(module)) for place, module in modules.items()}


class Calling(nn.Module):
    def __init__(self, call: Any, held: Any) -> None:
        super().__init__()
        self.a, self.call, self.held = nn.Linear(4, 2), call, held

    def forward(self, x: Tensor) -> Tensor:
        self.call(x, self.held) if self.held is not None else self.call(x)
        return self.a(x)


@pytest.mark.parametrize("way", CALLS)
def test_what_other_files_of_the_users_hold_is_as_before(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"files_{list(CALLS).index(way)}"
    _folder({**FILES, "model.py": CALLS[way].format(name)}, name, tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for place in ("model", "sub.late", "helpers"):
        importlib.import_module(f"{name}.{place}")
    model: Any = sys.modules[f"{name}.model"]
    before = _state(name)
    net = Calling(model.call, getattr(model, "held", None))
    assert trace(net, torch.zeros(2, 4)).traced_by == "meta"
    assert _state(name) == before
    net(torch.zeros(2, 4))
    assert _state(name) != before


def test_a_package_that_a_model_is_of_is_followed_from_function_to_function(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "site-packages"
    _folder(FILES, "installed_files", root)
    monkeypatch.syspath_prepend(root)
    deep: Any = importlib.import_module("installed_files.sub.deep")
    before = _state("installed_files")
    assert not is_own(deep)
    monkeypatch.setattr(Calling, "__module__", "installed_files.models")
    net = Calling(functools.partial(lambda function, x: function(x), deep.through), None)
    assert trace(net, torch.zeros(2, 4)).traced_by == "meta"
    assert _state("installed_files") == before
    store = deep.helpers.STORE
    names = ("mine", "installed_files.helpers")
    assert [is_followed(store, type(store), name, {"installed_files"}) for name in names] == [False, True]


def test_libraries_are_not_followed() -> None:
    assert not is_followed(nn.functional.relu, types.FunctionType, __name__, {"torch"})
    assert not is_followed(importlib.import_module, types.FunctionType, __name__, ())
    assert not is_own(torch)
    assert is_own(sys.modules[__name__])


def test_packages_that_no_model_is_of_are_left_after_a_function() -> None:
    """A test runner's functions lead to all tests."""
    raises, fail = pytest.raises, importlib.import_module("_pytest.config").get_config
    assert is_followed(raises, type(raises), __name__, ())
    assert not is_followed(fail, type(fail), raises.__module__, ())
    assert is_followed(fail, type(fail), raises.__module__, {"_pytest"})
