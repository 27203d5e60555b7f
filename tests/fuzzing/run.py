"""Read so many damaged files of a kind, and print each whose reading breaks the rule: a line of JSON."""

from __future__ import annotations

import json
import random
import sys
import tempfile
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.fuzzing.judge import fault
from tests.fuzzing.kinds import KINDS


def faults(name: str, count: int, seed: int, folder: Path) -> Iterator[str]:
    """What breaks the rule among `count` damaged files of a kind: how, the number of the file, and its name."""
    kind = KINDS[name]
    files = kind.prepare(folder)
    sound = {file: file.read_bytes() for file in files}
    for file in files:
        kind.read(file)
    for number in range(count):
        draw = random.Random(f"{name} {seed} {number}")
        file = draw.choice(list(files))
        content = files[file](sound[file], draw)
        file.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = fault(partial(kind.read, file), sum(f.stat().st_size for f in files))
        if found:
            yield f"{found} (input {number} of seed {seed}: {file.name})"
        file.write_bytes(sound[file])


def main() -> None:
    name, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(list(faults(name, count, seed, Path(folder)))))


if __name__ == "__main__":
    main()
