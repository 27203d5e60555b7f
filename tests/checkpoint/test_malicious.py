"""Nothing that a checkpoint says is ever executed.

Each file would run a command that makes a file, its canary, when the loader it is made for (pickle, joblib or torch)
reads it; a first test shows that it really does. Ours must refuse it, naming what is wrong, and leave no canary.
"""

import _codecs
import builtins
import copyreg
import functools
import gzip
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from joblib.numpy_pickle import NumpyArrayWrapper

from ghn.checkpoint import CheckpointError, convert_checkpoint, describe
from ghn.model import from_pretrained
from tests.checkpoint.files import dumped, random_state, training_file
from tests.checkpoint.pickles import Call, old_torch, storage_of, tensor_with_hooks, typed_storage


def system(command: str) -> Call:
    return Call(os.system, command)


def object_array(value: Any) -> np.ndarray:
    array = np.empty(1, dtype=object)
    array[0] = value
    return array


def joblib_wrapper(**changes: Any) -> NumpyArrayWrapper:
    fields = {
        "subclass": np.ndarray,
        "shape": (1,),
        "order": "C",
        "dtype": np.dtype("f4"),
        "allow_mmap": False,
    } | changes
    return NumpyArrayWrapper(**fields)


def evil_keys(command: str) -> bytes:
    """A storage whose list of keys, the last pickle in it, is the command."""
    data = old_torch(typed_storage())
    return data[: data.rindex(b"\x80\x02]")] + pickle.dumps(system(command))


def evil_zip(command: str) -> bytes:
    return dumped(torch.save, {"state_dict": random_state(), "config": system(command)})


def compressed_zip(command: str) -> bytes:
    """The same, its records compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(evil_zip(command))) as source, zipfile.ZipFile(buffer, "w", 8) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return buffer.getvalue()


def persistent_id(command: str) -> bytes:
    """A torch file whose persistent id has the command where a storage's class should be."""
    source = zipfile.ZipFile(io.BytesIO(dumped(torch.save, torch.ones(2))))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("data.pkl"):
                evil = pickle.dumps(system(command), protocol=2)[2:-1]
                content = content.replace(b"ctorch\nFloatStorage\n", evil)
                assert evil in content
            target.writestr(name, content)
    return buffer.getvalue()


def text_pickle(template: str) -> Callable[[str], bytes]:
    return lambda command: template.format(command=command).encode()


def extension(command: str) -> bytes:
    """`copyreg` extension 240, which the reading process registered for os.system."""
    text = command.encode()
    return b"\x80\x02\x82\xf0X" + struct.pack("<I", len(text)) + text + b"\x85R."


PICKLES: dict[str, tuple[Callable[[str], Any], str]] = {
    "direct": (system, r"(posix|nt)\.system"),
    "as a value": (lambda c: random_state() | {"ln.bias": system(c)}, r"(posix|nt)\.system"),
    "as a key": (lambda c: {system(c): torch.ones(2)}, r"(posix|nt)\.system"),
    "eval": (lambda c: Call(eval, f"__import__('os').system({c!r})"), r"builtin(s|__)\.eval"),
    "exec": (lambda c: Call(exec, f"import os; os.system({c!r})"), r"builtin(s|__)\.exec"),
    "getattr": (
        lambda c: Call(Call(builtins.getattr, Call(builtins.__import__, "os"), "system"), c),
        r"builtin(s|__)\.(getattr|__import__)",
    ),
    "subprocess": (lambda c: Call(subprocess.getoutput, c), r"(subprocess|commands)\.getoutput"),
    "partial with a state": (
        lambda c: Call(Call(functools.partial, print, state=(os.system, (c,), {}, None))),
        r"functools\.partial",
    ),
    "copyreg": (
        lambda c: Call(copyreg._reconstructor, system(c), object, None),  # type: ignore[attr-defined]
        r"copy_?reg\._reconstructor",
    ),
    "storage bytes": (lambda c: {"embed.weight": storage_of(old_torch(system(c)))}, r"(posix|nt)\.system"),
    "storage magic": (lambda c: {"embed.weight": storage_of(pickle.dumps(system(c)))}, r"(posix|nt)\.system"),
    "storage zip": (lambda c: {"embed.weight": storage_of(evil_zip(c))}, "pickle operation|the byte"),
    "storage in storage": (
        lambda c: {"embed.weight": storage_of(old_torch(storage_of(old_torch(system(c)))))},
        r"torch\.storage\._load_from_bytes",
    ),
    "storage keys": (lambda c: {"embed.weight": storage_of(evil_keys(c))}, r"(posix|nt)\.system"),
    "object array": (lambda c: {"embed.weight": object_array(system(c))}, "object array"),
    "hooks": (lambda c: {"embed.weight": tensor_with_hooks(OrderedDict(a=system(c)))}, r"(posix|nt)\.system"),
    "parameter hooks": (
        lambda c: {"a": Call(torch._utils._rebuild_parameter, torch.ones(2), False, OrderedDict(a=system(c)))},
        r"(posix|nt)\.system",
    ),
    "encode": (lambda c: {"a": Call(_codecs.encode, system(c), "latin1")}, r"(posix|nt)\.system"),
    "dtype": (lambda c: {"a": Call(np.dtype, system(c))}, r"(posix|nt)\.system"),
    "training options": (lambda c: {"state_dict": random_state(), "config": {"hid": system(c)}}, r"(posix|nt)\.system"),
    "optimizer": (lambda c: training_file(random_state()) | {"optimizer": system(c)}, r"(posix|nt)\.system"),
}
JOBLIBS: dict[str, tuple[Callable[[str], Any], str]] = {
    "joblib": (system, r"(posix|nt)\.system"),
    "joblib object array": (lambda c: {"embed.weight": object_array(system(c))}, "object array"),
    "joblib wrapper of objects": (lambda c: joblib_wrapper(dtype=np.dtype("O")), "object array"),
    "joblib subclass": (lambda c: joblib_wrapper(subclass=system(c)), r"(posix|nt)\.system"),
    "joblib shape": (lambda c: joblib_wrapper(shape=system(c)), r"(posix|nt)\.system"),
}
RAW: dict[str, tuple[Callable[[str], bytes], str]] = {
    "protocol 0": (text_pickle("cos\nsystem\n(S'{command}'\ntR."), r"os\.system"),
    "INST": (text_pickle("(S'{command}'\nios\nsystem\n."), "pickle operation"),
    "OBJ": (text_pickle("(cos\nsystem\nS'{command}'\no."), r"os\.system"),
    "extension": (extension, "pickle operation EXT1"),
    "gzip": (lambda c: gzip.compress(pickle.dumps(system(c))), r"(posix|nt)\.system"),
}
TORCHES: dict[str, tuple[Callable[[str], bytes], str]] = {
    "torch": (lambda c: dumped(torch.save, system(c)), r"(posix|nt)\.system"),
    "torch old": (lambda c: old_torch(system(c)), r"(posix|nt)\.system"),
    "torch options": (evil_zip, r"(posix|nt)\.system"),
    "torch compressed": (compressed_zip, "compressed or encrypted record"),
    "torch persistent id": (persistent_id, r"(posix|nt)\.system"),
    "torch old magic": (lambda c: pickle.dumps(torch.serialization.MAGIC_NUMBER) + pickle.dumps(system(c)), "system"),
}


def cases() -> dict[str, tuple[str, Callable[[str], bytes], str]]:
    """For each: whose loader would run it, its bytes for a command, what our message must say."""
    result: dict[str, tuple[str, Callable[[str], bytes], str]] = {}
    for name, (make, message) in PICKLES.items():
        for protocol in (2, 4):
            result[f"{name}, protocol {protocol}"] = (
                "pickle",
                lambda c, make=make, protocol=protocol: pickle.dumps(make(c), protocol),  # type: ignore[misc]
                message,
            )
    for name, (make, message) in JOBLIBS.items():
        result[name] = ("joblib", lambda c, make=make: _joblib_bytes(make(c), c), message)  # type: ignore[misc]
    for name, (write, message) in RAW.items():
        result[name] = ("joblib" if name == "gzip" else "pickle", write, message)
    for name, (write, message) in TORCHES.items():
        result[name] = ("torch", write, message)
    return result


def _joblib_bytes(value: Any, command: str) -> bytes:
    content = dumped(joblib.dump, {"embed.weight": value})
    if isinstance(value, NumpyArrayWrapper):
        # joblib reads the array right behind its description, of objects by unpickling.
        content = content[:-2] + pickle.dumps([system(command)]) + content[-2:]
    return content


CASES = cases()
CONTROL = """
import contextlib, copyreg, json, os, pickle, sys, warnings
import joblib, torch
warnings.simplefilter("ignore")
copyreg.add_extension(os.system.__module__, "system", 240)
loaders = {
    "pickle": lambda path: pickle.load(open(path, "rb")),
    "joblib": joblib.load,
    "torch": lambda path: torch.load(path, weights_only=False),
}
for loader, path in json.load(sys.stdin):
    with contextlib.suppress(Exception):
        loaders[loader](path)
"""


def write(folder: Path, name: str) -> tuple[Path, Path]:
    """The file of a case and its canary, which does not exist yet."""
    label = "".join(letter if letter.isalnum() else "-" for letter in name)
    file, canary = folder / f"{label}.pt", folder / f"{label}.canary"
    file.write_bytes(CASES[name][1](f"touch {canary}"))
    assert not canary.exists()
    return file, canary


@pytest.mark.slow
def test_ordinary_loaders_run_these_files(tmp_path: Path) -> None:
    """Otherwise the tests below would prove nothing."""
    written = {name: write(tmp_path, name) for name in CASES}
    work = json.dumps([(CASES[name][0], str(file)) for name, (file, _) in written.items()])
    subprocess.run([sys.executable, "-c", CONTROL], input=work, text=True, check=True, timeout=300, cwd=tmp_path)
    harmless = [name for name, (_, canary) in written.items() if not canary.exists()]
    assert not harmless, ", ".join(harmless)


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_executed(tmp_path: Path, name: str) -> None:
    file, canary = write(tmp_path, name)
    for read in (
        lambda: convert_checkpoint(file, tmp_path / "out"),
        lambda: from_pretrained(file),
        lambda: describe(file),
    ):
        with pytest.raises(CheckpointError, match=CASES[name][2]) as error:
            read()
        assert str(error.value).startswith(f"{file}: ")
        assert "\n" not in str(error.value)
    assert [entry.name for entry in tmp_path.iterdir()] == [file.name]
    assert not canary.exists()


REFUSED_NAMES = [
    ("torch._utils", "_rebuild_tensor_v2.__globals__"),
    ("collections", "OrderedDict.fromkeys"),
    ("collections.abc", "sys"),
    ("numpy", "load"),
    ("numpy", "ndarray.tofile"),
    ("torch", "FloatStorage"),
    ("torch", "load"),
    ("torch.storage", "UntypedStorage.from_file"),
    ("torch._utils", "_rebuild_qtensor"),
    ("torch.hub", "load"),
    ("joblib.numpy_pickle", "NDArrayWrapper"),
    ("ghn.common.untrusted.plain", "PlainTensor"),
    ("builtins", "bytearray"),
    ("", ""),
    ("a\nb", "\x1b[31m" + "x" * 1000),
]


@pytest.mark.parametrize(("module", "name"), REFUSED_NAMES)
def test_any_other_name_is_refused_by_name(tmp_path: Path, module: str, name: str) -> None:
    texts = b"".join(b"X" + struct.pack("<I", len(text)) + text for text in (module.encode(), name.encode()))
    (tmp_path / "evil.pt").write_bytes(b"\x80\x04" + texts + b"\x93)R.")
    with pytest.raises(CheckpointError) as error:
        from_pretrained(tmp_path / "evil.pt")
    shown = f"refers to {module}.{name}"
    assert shown[:60] in str(error.value).replace("\\n", "\n").replace("\\x1b", "\x1b")
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 400
