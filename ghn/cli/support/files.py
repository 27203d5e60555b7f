"""Output files: checked before the work starts, and written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ghn.common import files

if TYPE_CHECKING:
    from torch import Tensor


def check_writable(path: Path, suffixes: tuple[str, ...], *, force: bool = True) -> None:
    """See that a file can be written later, without touching it: a temporary one is made beside it.

    Args:
        path: The file.
        suffixes: What its name may end in, in lower case.
        force: Whether one that exists may be replaced; of a command that asks, what `--force` says.

    Raises:
        ValueError: In one line, if it cannot.
    """
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder; name a file in it")
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"the output {path} must end in {' or '.join(suffixes)}")
    if not force and os.path.lexists(path):
        raise in_the_way(path)
    folder = path.parent
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "does not exist; make it first"
        raise ValueError(f"cannot write {path}: {folder} {what}")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror or error}; choose another folder") from error


def in_the_way(path: Path) -> ValueError:
    """The one line about a file that exists and may not be replaced."""
    return ValueError(f"{path} exists: --force replaces it, or choose another name")


def check_results(
    output: Sequence[Path], suffixes: tuple[str, ...], *, force: bool, folder: Path | None = None
) -> None:
    """As `check_writable`, for the files of a command that goes on in a folder.

    Args:
        output: The files; none is fine.
        suffixes: As for `check_writable`.
        force: What `--force` says.
        folder: The run's. Where it holds one, the files are that run's too, and are replaced as it goes on.
    """
    check_keeps(folder)
    goes_on = folder is not None and folder.is_dir() and any(folder.iterdir())
    for path in output:
        check_writable(path, suffixes, force=force or goes_on)


def check_keeps(folder: Path | None) -> None:
    """See that what is under way can be kept in a folder, which is made where it is missing.

    Raises:
        ValueError: In one line, if it is, or is in, something else.
    """
    for part in [] if folder is None else [folder, *folder.parents]:
        if part.is_dir():
            return
        if os.path.lexists(part):
            raise ValueError(f"{part} is no folder, and cannot keep what is done; choose another")


def check_folder(path: Path, names: Sequence[str], *, force: bool) -> None:
    """See that a folder can be made, or holds nothing that would be replaced.

    Args:
        path: The folder.
        names: Files that it will get.
        force: What `--force` says.

    Raises:
        ValueError: In one line, if it cannot or does.
    """
    if path.exists() and not path.is_dir():
        raise ValueError(f"cannot write {path}: it is a file, not a folder; choose another name")
    there = next((name for name in names if os.path.lexists(path / name)), None)
    if there is not None and not force:
        raise ValueError(f"{path / there} exists: --force replaces it, or choose another folder")


def holds(path: Path, tensors: Mapping[str, Tensor]) -> bool:
    """Whether a safetensors file has these tensors: names, types, shapes, and values to rounding.

    The last digits depend on the number of threads and on the machine.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            if set(file.keys()) != set(tensors):
                return False
            there = {name: file.get_tensor(name) for name in tensors}
    except (SafetensorError, OSError):
        return False
    return all(
        value.dtype == tensors[name].dtype
        and value.shape == tensors[name].shape
        and _same_to_rounding(value, tensors[name])
        for name, value in there.items()
    )


def _same_to_rounding(one: Tensor, other: Tensor) -> bool:
    import torch

    if not (one.is_floating_point() or one.is_complex()):
        return torch.equal(one, other)
    wide = torch.complex128 if one.is_complex() else torch.float64
    one, other = one.to(wide), other.to(wide)
    scale = torch.nan_to_num(one.abs(), nan=0.0, posinf=0.0).max().item() if one.numel() else 0.0
    return torch.allclose(one, other, rtol=1e-4, atol=1e-5 * scale, equal_nan=True)


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place if the block succeeds, and vanishes if it does not.

    Args:
        path: The file to make or replace.

    Yields:
        The temporary file's path; the block makes the file.

    Raises:
        ValueError: In one line, if it cannot be written (no space, no permission).
    """
    try:
        with files.replaced(path) as temporary:
            yield temporary
    except OSError as error:
        raise ValueError(f"cannot write {path}: {error.strerror or error}; nothing was written") from error


def separate(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """A state as safetensors can hold it: tied tensors apart, without gaps; all keys, so that loading is strict.

    Raises:
        ValueError: In one line, for what cannot be held.
    """
    import torch
    from torch.nn.parameter import is_lazy

    from ghn.common.text import shown

    tensors: dict[str, Tensor] = {}
    addresses: set[int] = set()
    for name, value in state.items():
        if name == "__metadata__" or name.encode("utf-8", "replace").decode("utf-8") != name:
            raise ValueError(f"the model's state holds {shown(name)}, a name that safetensors cannot hold")
        if is_lazy(value):
            raise ValueError(f"{name} has no shape yet (a lazy module); let the factory run the model once")
        if not isinstance(value, torch.Tensor):
            raise ValueError(
                f"the model's state holds {name}, a {type(value).__name__}; safetensors holds tensors only"
            )
        if value.layout is not torch.strided or value.is_meta:
            what = "has no numbers (it is on the meta device)" if value.is_meta else "is sparse"
            raise ValueError(f"{name} of the model's state {what}; safetensors cannot hold it")
        tensor = value.detach().cpu().resolve_conj()
        address = tensor.untyped_storage().data_ptr()
        shared = address in addresses and tensor.numel() > 0
        tensors[name] = tensor.clone(memory_format=torch.contiguous_format) if shared else tensor.contiguous()
        addresses.add(address)
    return tensors


def write_weights(
    outputs: Mapping[Path, Mapping[str, Tensor]],
    facts: Mapping[str, str],
    record: Mapping[str, Any],
    record_file: Path,
) -> None:
    """Write states as safetensors with a record beside them: all of them, or none.

    Args:
        outputs: What each file gets, as `separate` gives it.
        facts: For their headers.
        record: Plain values.
        record_file: The record's JSON file.

    Raises:
        ValueError: In one line, if a file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    from ghn.common.text import printable

    metadata = {"format": "pt", **{name: printable(fact) for name, fact in facts.items()}}
    with ExitStack() as stack:
        # Entered first, left last: the weights take their place before the record does.
        record_to = stack.enter_context(replaced(record_file))
        places = {path: stack.enter_context(replaced(path)) for path in outputs}
        record_to.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        for path, tensors in outputs.items():
            try:
                save_file(dict(tensors), places[path], metadata)
            except SafetensorError as error:
                raise ValueError(f"cannot write {path}: {error}; nothing was written") from error
