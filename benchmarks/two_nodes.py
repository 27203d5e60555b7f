"""Meta-training on two nodes: the losses of one process, a link that is cut, and a restart from the last save.

    sudo env "PATH=$PATH" python -m benchmarks.two_nodes        # Linux with iproute2; makes and removes two namespaces

A node is a network namespace of this machine with an address of its own, reached by a virtual cable (ip-netns(8)); both
see one disk, as nodes of a cluster do. Each runs `torchrun` with one process; they meet at an address of the first.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import markdown, save

RUN = ["digits-smoke", "--save-every", "1", "--log-every", "1", "--device", "cpu", "--learning-rate", "1e-5"]
ADDRESSES = ("10.234.77.1", "10.234.77.2")
PORT = 29511
COMPARED = ("loss", "accuracy", "penalty", "gradient_norm")


@dataclass(frozen=True)
class Node:
    """A network namespace with one end of the cable."""

    name: str
    cable: str
    address: str

    def command(self, *words: str) -> list[str]:
        """A command that runs on the node."""
        return ["ip", "netns", "exec", self.name, *words]

    def link(self, state: str) -> None:
        """Plug the cable in (`up`) or pull it (`down`)."""
        ip("-n", self.name, "link", "set", self.cable, state)


def ip(*words: str) -> None:
    """`ip` of iproute2."""
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@contextmanager
def two_nodes() -> Iterator[tuple[Node, Node]]:
    """Two namespaces and the cable between them."""
    names = [f"ghn-{os.getpid()}-{end}" for end in "ab"]
    nodes = tuple(Node(name, f"gv{os.getpid()}{name[-1]}", at) for name, at in zip(names, ADDRESSES, strict=True))
    with ExitStack() as stack:
        for node in nodes:
            ip("netns", "add", node.name)
            stack.callback(ip, "netns", "del", node.name)
        first, second = nodes
        ip("link", "add", first.cable, "netns", first.name, "type", "veth", "peer", second.cable, "netns", second.name)
        for node in nodes:
            ip("-n", node.name, "addr", "add", f"{node.address}/24", "dev", node.cable)
            for device in ("lo", node.cable):
                ip("-n", node.name, "link", "set", device, "up")
        yield first, second


@contextmanager
def started(
    nodes: tuple[Node, Node], folder: Path, steps: int, timeout: float
) -> Iterator[list[subprocess.Popen[str]]]:
    """The run on both nodes; what still goes on at the end of the block is ended, workers included."""
    with ExitStack() as stack:
        running = []
        for number, node in enumerate(nodes):
            running.append(start(node, number, folder, steps, timeout))
            stack.callback(end, running[-1])
        yield running


def end(process: subprocess.Popen[str]) -> None:
    """End a `torchrun`, which ends its workers when it is told to."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=60)
    process.kill()
    process.wait()


def start(node: Node, number: int, folder: Path, steps: int, timeout: float) -> subprocess.Popen[str]:
    """One node's `torchrun`, its output in a file beside the run's folder."""
    environment = {
        **os.environ,
        "GHN_RANK_TIMEOUT": str(timeout),
        "GLOO_SOCKET_IFNAME": node.cable,
        "OMP_NUM_THREADS": "1",
    }
    endpoint = f"{ADDRESSES[0]}:{PORT}"
    rendezvous = ["--rdzv-backend", "c10d", "--rdzv-endpoint", endpoint, "--rdzv-id", folder.name]
    # torchrun takes a node for the host of the rendezvous by its name, which namespaces share.
    rendezvous += ["--rdzv-conf", f"is_host={int(number == 0)}"]
    words = ["--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "0", "--local-addr", node.address, *rendezvous]
    command = [sys.executable, "-m", "torch.distributed.run", *words, "-m", "ghn", "train", *RUN]
    command += ["--steps", str(steps), "--output", str(folder)]
    with (folder.parent / f"{folder.name}-node{number}.txt").open("a") as out:
        return subprocess.Popen(
            node.command(*command), stdout=out, stderr=subprocess.STDOUT, text=True, env=environment
        )


def log_of(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's logbook so far."""
    file = folder / "log.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def difference(one: Path, other: Path) -> dict[str, float]:
    """Of what two runs logged, relative, the largest of all steps."""
    found = dict.fromkeys(COMPARED, 0.0)
    for first, second in zip(log_of(one), log_of(other), strict=True):
        for name in COMPARED:
            found[name] = max(found[name], abs(first[name] - second[name]) / max(abs(first[name]), 1e-12))
    return found


def message(file: Path) -> str:
    """The last line of `ghn` in a node's output."""
    lines = [line for line in file.read_text().splitlines() if "error:" in line and "lost another" in line]
    return lines[-1].strip() if lines else ""


def cut_and_restarted(nodes: tuple[Node, Node], folder: Path, steps: int, timeout: float) -> dict[str, Any]:
    """Cut the link once some steps are done, wait for the nodes' lines, mend it, and give the same commands again."""
    files = [folder.parent / f"{folder.name}-node{number}.txt" for number in (0, 1)]
    told: dict[int, float] = {}
    with started(nodes, folder, steps, timeout) as running:
        while len(log_of(folder)) < steps // 3:
            if any(process.poll() is not None for process in running):
                raise RuntimeError("a node ended before its link was cut")
            time.sleep(0.05)
        nodes[1].link("down")
        cut = time.monotonic()
        while len(told) < 2 and time.monotonic() - cut < 4 * timeout + 60:
            for number, file in enumerate(files):
                if number not in told and message(file):
                    told[number] = time.monotonic() - cut
            time.sleep(0.1)
    done = len(log_of(folder))
    nodes[1].link("up")
    trained(nodes, folder, steps, timeout)
    return {
        "steps_done_at_the_cut": done,
        "seconds_to_the_line": [round(told[number], 1) if number in told else None for number in (0, 1)],
        "lines": [message(file) for file in files],
    }


def trained(nodes: tuple[Node, Node], folder: Path, steps: int, timeout: float) -> None:
    """The run from where it stands to its end.

    Raises:
        RuntimeError: If a node fails.
    """
    with started(nodes, folder, steps, timeout) as running:
        codes = [process.wait(timeout=900) for process in running]
    if any(codes):
        raise RuntimeError(f"the nodes ended with {codes}")


def main() -> None:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--timeout", type=float, default=20, help="seconds after which a silent process counts as lost")
    arguments = parser.parse_args()
    with two_nodes() as nodes, tempfile.TemporaryDirectory() as temporary:
        one, two, cut = (Path(temporary) / name for name in ("one", "two", "cut"))
        alone = [sys.executable, "-m", "ghn", "train", *RUN, "--steps", str(arguments.steps), "--output", str(one)]
        subprocess.run([*alone, "--quiet"], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        trained(nodes, two, arguments.steps, arguments.timeout)
        facts = cut_and_restarted(nodes, cut, arguments.steps, arguments.timeout)
        rows: list[dict[str, Any]] = [
            {"run": "two nodes", **difference(one, two)},
            {"run": "two nodes, the link cut, started again", **difference(one, cut)},
        ]
    table = markdown(rows, {"run": "", **dict.fromkeys(COMPARED, ".1e")})
    table = f"Largest relative difference from one process, over {arguments.steps} steps.\n\n{table}\n\n" + "\n".join(
        f"- {name.replace('_', ' ')}: {value}" for name, value in facts.items()
    )
    print(table)
    save("two_nodes", rows, table=table, extra={"cut": facts})


if __name__ == "__main__":
    main()
