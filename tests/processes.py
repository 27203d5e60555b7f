"""Programs run as the processes that `torchrun` would start."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from tests.warm import Program


def group(program: str, *words: str, world: int) -> list[Program]:
    """The processes of a group, each of which runs a program."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    environment["LOCAL_WORLD_SIZE"] = str(world)
    environment.setdefault("GHN_RANK_TIMEOUT", "200")  # a process that waits in vain says so before the test ends
    return [
        Program(
            program, *words, env={**environment, "WORLD_SIZE": str(world), "RANK": str(rank), "LOCAL_RANK": str(rank)}
        )
        for rank in range(world)
    ]


def finish(processes: Sequence[Program]) -> list[str]:
    """What each wrote; all must have ended well."""
    try:
        written = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    errors = "\n".join(error for _, error in written)
    assert [process.returncode for process in processes] == [0] * len(processes), errors
    return [output for output, _ in written]
