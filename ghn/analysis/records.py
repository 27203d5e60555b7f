"""A record for each network and start, kept as soon as it is there: an analysis goes on after an interruption."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from safetensors.torch import save_file
from torch import Tensor, nn

from ghn.analysis.networks import Batch, Networks, family_of, name_of
from ghn.checkpoint.weights import read_weights
from ghn.common.files import replaced, write_text
from ghn.common.memory import give_back, is_out_of_memory
from ghn.common.optional import versions
from ghn.common.text import one_line, without_nan
from ghn.common.untrusted.json_text import read_json
from ghn.data import DataError
from ghn.evaluate.networks import Candidate

LONGEST_ERROR = 300
"""Characters."""

MOST_ATTEMPTS = 2
"""At a network and start that end the process."""

MOST_OF_A_RECORD = 64 << 20
"""Bytes."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """What was found of a network from a start.

    Attributes:
        model: The network's name.
        family: What it is one of.
        start: Where its parameters come from.
        values: What was measured, plain values.
        tensors: And tensors by name, where there are any.
        seconds: Time that it took.
        error: Why there is none of these; None where there is.
    """

    model: str
    family: str
    start: str
    values: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    seconds: float = 0.0
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without tensors."""
        return without_nan(
            {
                "model": self.model,
                "family": self.family,
                "start": self.start,
                **self.values,
                "seconds": self.seconds,
                "error": self.error,
            }
        )


Found = Mapping[str, Any] | tuple[Mapping[str, Any], Mapping[str, Tensor]]
Measure = Callable[[nn.Module, Batch], Found]
"""Of a model in evaluation mode and a batch: plain values, and tensors where there are any. It may change the model."""


def records(
    networks: Networks,
    what: str,
    measure: Measure,
    *,
    settings: Mapping[str, Any] | None = None,
    folder: str | os.PathLike[str] | None = None,
    progress: Callable[[Record], None] | None = None,
) -> Iterator[Record]:
    """Measure every network from every start, one after the other.

    What cannot be built, started or measured has an `error` in its record; the others go on. So does what killed the
    process twice, as a network does for which there is not enough memory, where a folder tells of it.

    Args:
        networks: These, their starts and images.
        what: Name of the analysis, for its records.
        measure: What is measured.
        settings: What else its results depend on, plain values.
        folder: Where records are kept; the same call goes on after whatever ended it. None keeps nothing.
        progress: Called after each, also with those that are there already.

    Raises:
        DataError: When images are missing or damaged.
        ValueError: When the folder cannot be written.
    """
    home = None if folder is None else Path(folder)
    for candidate in networks.candidates:
        for start in networks.config.starts:
            identity = _identity(networks, candidate, start, what, dict(settings or {}))
            record = None if home is None else _kept(home, identity)
            if record is None:
                with _attempt(home, identity) as killed:
                    # Another process may have measured it meanwhile.
                    record = None if home is None else _kept(home, identity)
                    if record is None:
                        record = _measured(networks, candidate, start, measure, killed=killed)
                        give_back()
                        if home is not None and record.error is None:
                            _keep(home, identity, record)
            if progress is not None:
                progress(record)
            yield record
        candidate.forget()


@contextmanager
def _attempt(folder: Path | None, identity: Mapping[str, Any]) -> Iterator[bool]:
    """Context of an attempt to measure, of which a file tells if the process is killed meanwhile.

    Another process that measures the same is waited for: what it finds is there then.

    Yields:
        Whether it was killed so often that there is no use in another attempt.
    """
    if folder is None:
        yield False
        return
    marker = _file(folder, identity).with_suffix(".attempts")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = _locked(marker)
    except OSError as error:
        raise _unwritable(folder, error) from error
    with file:
        if os.fstat(file.fileno()).st_size >= MOST_ATTEMPTS:
            yield True
            return
        try:
            file.write(b"x")
            file.flush()
        except OSError as error:
            raise _unwritable(folder, error) from error
        try:
            yield False
        finally:
            marker.unlink(missing_ok=True)


def _locked(marker: Path) -> BinaryIO:
    """The file, opened and held by this process alone."""
    while True:
        with ExitStack() as opened:
            file = opened.enter_context(open(marker, "ab"))
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                opened.pop_all()
                return file
        # Whoever held it has removed it.


def _measured(networks: Networks, candidate: Candidate, start: str, measure: Measure, *, killed: bool) -> Record:
    began = time.perf_counter()
    family = candidate.split
    if killed:
        text = f"it ended the process {MOST_ATTEMPTS} times, as want of memory does; take fewer images"
        return Record(model=name_of(candidate), family=family, start=start, error=text)
    batch = networks.batch
    try:
        model = networks.started(candidate, start)
        family = family_of(candidate, model)
        found = measure(model, batch)
    except DataError:
        raise
    except Exception as error:  # whatever a model of others raises
        text = one_line(" ".join(str(error).split()), LONGEST_ERROR) or "no reason given"
        if is_out_of_memory(error):
            text = "there is not enough memory; take fewer images"
        elif not isinstance(error, ValueError):
            text = f"{type(error).__name__}: {text}"
        return Record(model=name_of(candidate), family=family, start=start, error=text)
    values, tensors = found if isinstance(found, tuple) else (found, {})
    return Record(
        model=name_of(candidate),
        family=family,
        start=start,
        values=values,
        tensors=tensors,
        seconds=time.perf_counter() - began,
    )


def _identity(
    networks: Networks, candidate: Candidate, start: str, what: str, settings: dict[str, Any]
) -> dict[str, Any]:
    """All that a record depends on, as JSON holds it."""
    identity = {
        "what": what,
        "model": name_of(candidate),
        "start": start,
        "files": networks.digest(candidate, start),
        "config": networks.config.identity(),
        "settings": settings,
    }
    return json.loads(json.dumps(identity))


def _file(folder: Path, identity: Mapping[str, Any]) -> Path:
    """Where a record is kept: readable, and of its own for whatever it depends on."""
    readable = re.sub(r"[^\w.+-]+", "-", f"{identity['what']}-{identity['model']}-{identity['start']}")[:80].strip("-.")
    text = json.dumps(identity, sort_keys=True).encode("utf-8", "surrogatepass")
    return folder / f"{readable}-{hashlib.sha256(text).hexdigest()[:12]}.json"


def _kept(folder: Path, identity: Mapping[str, Any]) -> Record | None:
    """The record that is there; None where there is none, or a damaged one."""
    file = _file(folder, identity)
    try:
        saved = read_json(file, MOST_OF_A_RECORD)
        if saved["of"] != identity:
            return None
        tensors = read_weights(file.with_suffix(".safetensors")) if saved["tensors"] else {}
        return Record(
            model=saved["model"],
            family=str(saved["family"]),
            start=saved["start"],
            values=dict(saved["values"]),
            tensors=tensors,
            seconds=float(saved["seconds"]),
        )
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _keep(folder: Path, identity: Mapping[str, Any], record: Record) -> None:
    file = _file(folder, identity)
    saved = {
        "model": record.model,
        "family": record.family,
        "start": record.start,
        "values": without_nan(dict(record.values)),
        "tensors": sorted(record.tensors),
        "seconds": record.seconds,
        "of": identity,
        "versions": versions(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if record.tensors:
            # Before the record, which says that they are there.
            with replaced(file.with_suffix(".safetensors")) as partial:
                save_file({name: tensor.contiguous() for name, tensor in record.tensors.items()}, partial)
        write_text(file, json.dumps(saved, indent=1) + "\n")
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> ValueError:
    return ValueError(f"{folder} cannot hold an analysis ({error.strerror or error}); take another folder")
