"""Results of cells by digest, kept at a place that several drivers may use at once.

    format.json              what the place holds
    results/DRIVER….jsonl    a line for each finished cell; a driver adds to its own file only
    claims/DIGEST.N          who computes a cell; a greater N took over from a driver that has gone
    drivers/DRIVER           who drives: locked while it runs, and growing
    files/DIGEST/            what a cell made
    work/DIGEST/             what is not finished (of addresses: in the cache folder of the user)

A cell is computed by who made its claim. Making one is atomic; that of a driver that has gone gives way to one of a
greater number. A driver looks for results once more after it has a claim, and takes the claim away only after its
result is there: so nothing is computed twice.
"""

from __future__ import annotations

import json
import os
import platform
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ghn.common.text import shown
from ghn.common.untrusted.errors import FormatError
from ghn.common.untrusted.json_text import parse_json
from ghn.experiments.grid.cell import FORMAT
from ghn.experiments.grid.place import Beat, Place
from ghn.training.state import StateError

FORMAT_FILE = "format.json"

BEAT_SECONDS = 10.0
"""Between signs of life of a driver."""

LEASE_SECONDS = 60.0
"""Without one, after which a driver on another machine has gone."""

# Whose a claim may be, and its number: as they are written.
_DRIVER = re.compile(r"[^/\0]{0,40}-\d{1,10}-[0-9a-f]{8}", re.DOTALL)
_NUMBER = re.compile("0|[1-9][0-9]{0,8}")

_LINE = re.compile(rb'\{"digest":"[0-9a-f]{32}"[,}]')
_START = len('{"digest":"')
_END = _START + 32


def machine() -> str:
    """What tells this machine, since it was started, from others."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return f"{platform.node()}/{boot.read_text().strip() if boot.exists() else ''}"


class Store:
    """The results at a place, as a context in which this process is one of its drivers.

    Args:
        place: Where.
        lease: Seconds, see `LEASE_SECONDS`.
        beat: Seconds, see `BEAT_SECONDS`.

    Raises:
        StateError: In one line, when the place holds results of another version, or cannot be reached or written.
    """

    def __init__(self, place: Place, *, lease: float = LEASE_SECONDS, beat: float = BEAT_SECONDS) -> None:
        self.place = place
        self.driver = f"{platform.node()[:40]}-{os.getpid()}-{secrets.token_hex(4)}"
        self._lease, self._beat_seconds = lease, beat
        self._beat: Beat | None = None
        self._done: set[bytes] = set()
        self._read: dict[str, int] = {}
        self._added = 0
        self._claims: dict[str, int] = {}
        self._seen: dict[str, tuple[bytes | None, float]] = {}
        with self._answering():
            self._check_format()

    def __enter__(self) -> Store:
        with self._answering():
            if self.place.read(FORMAT_FILE) is None:
                self.place.put(FORMAT_FILE, (json.dumps({"format": FORMAT}) + "\n").encode())
            self._beat = Beat(self.place, f"drivers/{self.driver}", machine().encode(), self._beat_seconds)
            self.refresh()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(StateError):
            for digest in list(self._claims):
                self.release(digest)
        if self._beat is not None:
            self._beat.end()

    def __contains__(self, digest: str) -> bool:
        """Whether a cell is finished, as of the last `refresh`."""
        return bytes.fromhex(digest) in self._done

    def __len__(self) -> int:
        return len(self._done)

    def refresh(self) -> None:
        """Take note of cells that were finished meanwhile, by whatever driver."""
        with self._answering():
            for line in self._new_lines():
                self._done.add(bytes.fromhex(line[_START:_END].decode()))

    def records(self, digests: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The records of finished cells, in the order in which they were stored; of one stored twice the first."""
        wanted = {bytes.fromhex(digest) for digest in digests}
        with self._answering():
            names = sorted(self.place.sizes("results"))
        for name in names:
            with self._answering():
                content = self.place.read(f"results/{name}") or b""
            for line in content.splitlines(keepends=True):
                record = _record(line)
                if record is not None and (key := bytes.fromhex(record["digest"])) in wanted:
                    wanted.discard(key)
                    yield record

    def claim(self, digest: str) -> bool:
        """Whether this driver is to compute a cell: nobody else does, and it is not finished."""
        with self._answering():
            if not self._make_claim(digest):
                return False
            # Whoever had it before took its claim away after its result was there.
            self.refresh()
        if digest in self:
            self._drop_claims(digest)
            return False
        return True

    def finish(self, record: Mapping[str, Any]) -> None:
        """Store the record of a cell that was claimed; it is there when this returns.

        Args:
            record: Plain values; `digest` is the cell's.

        Raises:
            StateError: When it cannot be written.
        """
        digest = str(record["digest"])
        line = json.dumps({"digest": digest, **record}, separators=(",", ":"), allow_nan=False) + "\n"
        with self._answering():
            self.place.add(f"results/{self.driver}", line.encode(), self._added)
        self._added += 1
        self._done.add(bytes.fromhex(digest))
        self._drop_claims(digest)

    def release(self, digest: str) -> None:
        """Let others compute a cell that was claimed and is not finished."""
        number = self._claims.pop(digest, None)
        if number is not None:
            # Only its own: a free number below one that is held could be taken beside it.
            with self._answering():
                self.place.remove(f"claims/{digest}.{number}")

    def lose(self, digest: str) -> bool:
        """Take a finished cell for one that is not, where what it made is not there; whether that is so.

        It can be claimed and finished again; what was found first stays what counts.
        """
        with self._answering():
            if self.place.folder(f"files/{digest}") is not None:
                return False
        self._done.discard(bytes.fromhex(digest))
        return True

    def _make_claim(self, digest: str) -> bool:
        lowest = self.place.create(f"claims/{digest}.0", self.driver.encode())
        if lowest and self._keep(digest, 0, self._claims_of(digest)):
            return True
        # Also where the lowest was free: who holds a greater one may have gone.
        numbers = self._claims_of(digest)
        if not numbers:
            return False  # taken away since: the next look finds the result, or makes one
        number = max(numbers)
        content = self.place.read(f"claims/{digest}.{number}")
        if content is None:
            return False
        owner, written = _owner(content), f"{digest}.{number}"
        if owner is not None:
            self._seen.pop(written, None)
        if owner == self.driver:
            # Held already; or made by a request that was answered as if it had failed.
            return digest not in self._claims and self._keep(digest, number, numbers)
        if self._stirs(written, content) if owner is None else self._lives(owner):
            return False
        if not self.place.create(f"claims/{digest}.{number + 1}", self.driver.encode()):
            return False
        # Who went in good order took his claim away, and somebody else may have made the lowest meanwhile.
        unchanged = self.place.read(f"claims/{digest}.{number}") == content
        return self._keep(digest, number + 1, self._claims_of(digest) if unchanged else None)

    def _keep(self, digest: str, number: int, numbers: Sequence[int] | None) -> bool:
        """Whether a claim that was just made holds: nobody has a greater one. Else it is taken away again.

        One that is no longer its maker's went with a finished cell, whose result everybody finds: so it does no harm to
        take away what another has made in its place.
        """
        above = f"claims/{digest}.{number + 1}"  # looked for by its name, too: lists may be late
        if numbers is None or max(numbers, default=0) > number or self.place.read(above) is not None:
            self.place.remove(f"claims/{digest}.{number}")
            return False
        self._claims[digest] = number
        return True

    def _claims_of(self, digest: str) -> list[int]:
        names = (name.rpartition(".") for name in self.place.sizes("claims"))
        return [int(number) for start, _, number in names if start == digest and _NUMBER.fullmatch(number)]

    def _drop_claims(self, digest: str) -> None:
        mine = self._claims.pop(digest, -1)
        # The lowest last: without it others make one.
        with self._answering():
            for number in reversed(range(mine + 1)):
                self.place.remove(f"claims/{digest}.{number}")

    def _lives(self, driver: str) -> bool:
        """Whether a driver runs: on this machine its lock says so, of others its signs of life."""
        name = f"drivers/{driver}"
        content = self.place.read(name)
        if content is None:
            return False
        held = self.place.is_held(name)
        if held is not None and content.partition(b"\n")[0] == machine().encode():
            return held
        return self._stirs(driver, content)

    def _stirs(self, key: str, content: bytes) -> bool:
        """Whether something has not stood still for a lease, as seen from here."""
        now = time.monotonic()
        before, since = self._seen.get(key, (None, now))
        if content != before:
            self._seen[key] = (content, now)
            return True
        return now - since < self._lease

    def _new_lines(self) -> Iterator[bytes]:
        for name, size in self.place.sizes("results").items():
            start = self._read.get(name, 0)
            if size <= start or name.startswith(self.driver):
                continue
            content = self.place.read(f"results/{name}", start) or b""
            whole = content[: content.rfind(b"\n") + 1]
            self._read[name] = start + len(whole)
            yield from (line for line in whole.splitlines(keepends=True) if _record(line) is not None)

    def _check_format(self) -> None:
        content = self.place.read(FORMAT_FILE)
        if content is None:
            return
        where = self.place.address
        try:
            there = dict(parse_json(content.decode("utf-8")))["format"]
        except (FormatError, ValueError, LookupError, TypeError) as error:
            raise StateError(
                f"{where} holds a damaged {FORMAT_FILE} ({shown(str(error))}); take another folder"
            ) from error
        if there != FORMAT:
            raise StateError(
                f"{where} holds results of version {shown(there)}, this ghn writes version {FORMAT}; take another "
                "folder"
            )

    def _answering(self) -> _Answering:
        return _Answering(self.place.address)


class _Answering:
    """Context in which errors of the place are one line."""

    def __init__(self, address: str) -> None:
        self._address = address

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, OSError):
            reason = error.strerror or str(error) or type(error).__name__
            if isinstance(error.filename, str):
                reason = f"{reason}: {error.filename}"
            raise StateError(f"{self._address} cannot hold results ({reason}); what it has stays") from error


def _owner(content: bytes) -> str | None:
    """Whose a claim is; None of one that is empty or damaged, as files are after a loss of power."""
    text = content.decode("utf-8", "replace")
    return text if _DRIVER.fullmatch(text) else None


def _record(line: bytes) -> dict[str, Any] | None:
    """What a line says; None for one that was cut short or damaged.

    Its digest stands where all lines have it, and nowhere else.
    """
    if not line.endswith(b"\n") or not _LINE.match(line):
        return None
    try:
        record = parse_json(line.decode("utf-8"))
        sound = record["digest"].encode() == line[_START:_END] and isinstance(record["value"], dict)
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    return record if sound else None
