"""Loader workers and signals."""

from __future__ import annotations

import os
import signal

import pytest

from tests.warm import Program

PROGRAM = """
import os, time
import torch
from torch.utils.data import DataLoader
from ghn.common.parallel.processes import start_worker

class Numbers(torch.utils.data.Dataset):
    def __getitem__(self, index):
        return torch.tensor([index, os.getppid()])

if __name__ == "__main__":
    options = dict(sampler=range(100), batch_size=None, num_workers=1, worker_init_fn=start_worker)
    loaded = iter(DataLoader(Numbers(), **options))
    worker = loaded._workers[0]
    next(loaded)
    print(worker.pid, flush=True)
    input()
    assert [int(next(loaded)[0]) for _ in range(10)] == list(range(1, 11))
    worker.terminate()
    worker.join(20)
    print(worker.exitcode, flush=True)
    os._exit(0)
"""


@pytest.mark.skipif(not hasattr(signal, "sigtimedwait"), reason="the sender of a signal is not known")
def test_a_worker_ends_when_its_parent_asks_and_not_when_others_do() -> None:
    with Program(PROGRAM) as process:
        worker = int(process.stdout.readline())
        os.kill(worker, signal.SIGTERM)
        os.kill(worker, signal.SIGINT)
        ended, _ = process.communicate("\n", timeout=60)
    assert process.returncode == 0
    assert ended == "0\n"
