"""Damaged files: one line of error, or tensors of the right shapes; never another exception, much memory or a hang."""

import random
import resource
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from ghn.checkpoint import CheckpointError, convert_checkpoint
from ghn.checkpoint.architecture import expected_shapes
from ghn.checkpoint.convert import read_hypernetwork
from ghn.hypernet.config import GHNConfig
from ghn.model import from_pretrained
from tests.checkpoint.files import FORMATS, random_state, same

SMALLEST = GHNConfig(hidden=4, layers=1, heads=1, num_classes=1, max_channels=1, spatial=1)
SHAPES = expected_shapes(SMALLEST)
STATE = random_state(SMALLEST)
DAMAGED = (
    "joblib",
    "joblib-zlib",
    "joblib-bz2",
    "joblib-xz",
    "joblib-numpy",
    "pickle-numpy-protocol-2",
    "torch",
    "torch-old",
    "torch-training",
)
FLIPS = 120


@pytest.fixture(scope="module")
def contents() -> dict[str, tuple[bytes, list[int]]]:
    """For each format a file, and where its structure is: bytes that do not depend on the weights."""
    result = {}
    for name in DAMAGED:
        one, other = (FORMATS[name](random_state(SMALLEST, seed)) for seed in (0, 1))
        result[name] = one, [at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] == pair[1]]
    return result


def read_damaged(file: Path, content: bytes) -> dict[str, Tensor] | None:
    """The state if the damage went unnoticed, in which case it has the shapes of a hypernetwork and finite numbers."""
    file.write_bytes(content)
    try:
        config, state = read_hypernetwork(file)
    except CheckpointError as error:
        message = str(error)
    else:
        assert {key: tuple(tensor.shape) for key, tensor in state.items()} == expected_shapes(config)
        assert all(tensor.isfinite().all() for tensor in state.values())
        return state
    assert message.startswith(f"{file}: ")
    assert message.isprintable()
    assert len(message) < len(str(file)) + 400
    return None


@pytest.mark.parametrize("name", DAMAGED)
def test_flipped_bytes(tmp_path: Path, contents: dict[str, tuple[bytes, list[int]]], name: str) -> None:
    content, structure = contents[name]
    generator = random.Random(name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unnoticed = 0
    for _ in range(FLIPS):
        damaged = bytearray(content)
        at = generator.choice(structure) if generator.random() < 0.8 else generator.randrange(len(content))
        damaged[at] ^= 1 << generator.randrange(8) if generator.random() < 0.5 else generator.randrange(1, 256)
        unnoticed += read_damaged(tmp_path / "file.pt", bytes(damaged)) is not None
    assert unnoticed < 0.7 * FLIPS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize("name", DAMAGED)
def test_truncated_files(tmp_path: Path, contents: dict[str, tuple[bytes, list[int]]], name: str) -> None:
    content = contents[name][0]
    generator = random.Random(name)
    ends = {1, 2, 10, len(content) // 2, len(content) - 1, *(generator.randrange(1, len(content)) for _ in range(30))}
    for end in sorted(ends):
        assert read_damaged(tmp_path / "file.pt", content[:end]) is None
        # Some operations are superfluous, e.g. remembering a value that is never used again, so this may go unnoticed.
        read_damaged(tmp_path / "file.pt", content[:end] + content[end + 1 :])


@pytest.mark.parametrize("name", DAMAGED)
def test_surplus_bytes(tmp_path: Path, contents: dict[str, tuple[bytes, list[int]]], name: str) -> None:
    content = contents[name][0]
    for surplus in (content + b"x", content + content):
        found = read_damaged(tmp_path / "file.pt", surplus)
        # The end of a zip archive is looked for from behind.
        assert found is None or (name in ("torch", "torch-training") and same(found, STATE))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage(tmp_path: Path, contents: dict[str, tuple[bytes, list[int]]], data: st.DataObject) -> None:
    """Several bytes replaced, or a stretch moved elsewhere."""
    name = data.draw(st.sampled_from(DAMAGED))
    content, structure = contents[name]
    damaged = bytearray(content)
    for at in data.draw(st.lists(st.sampled_from(structure), max_size=4)):
        damaged[at] = data.draw(st.integers(0, 255))
    start, size, target = (data.draw(st.integers(0, len(content) // part)) for part in (2, 100, 2))
    if data.draw(st.booleans()):
        damaged[target : target + size] = damaged[start : start + size]
    read_damaged(tmp_path / "file.pt", bytes(damaged))


@pytest.mark.parametrize("name", ["torch", "torch-training"])
def test_checksums_notice_every_flip_in_the_numbers(
    tmp_path: Path, contents: dict[str, tuple[bytes, list[int]]], name: str
) -> None:
    content, structure = contents[name]
    numbers = sorted(set(range(len(content))) - set(structure))
    for at in random.Random(0).sample(numbers, 40):
        damaged = bytearray(content)
        damaged[at] ^= 1
        assert read_damaged(tmp_path / "file.pt", bytes(damaged)) is None


def test_flipped_safetensors(tmp_path: Path) -> None:
    """Our own format: the same, but for numbers, which loading does not read."""
    (tmp_path / "published.pt").write_bytes(FORMATS["joblib"](random_state(SMALLEST)))
    folder = convert_checkpoint(tmp_path / "published.pt", tmp_path / "own")
    content = (folder / "model.safetensors").read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    generator = random.Random(0)
    for at in [*range(8), *(generator.randrange(header) for _ in range(200))]:
        damaged = bytearray(content)
        damaged[at] ^= 1 << generator.randrange(8)
        (folder / "model.safetensors").write_bytes(damaged)
        message = ""
        try:
            hypernet = from_pretrained(folder)
        except CheckpointError as error:
            message = str(error)
        else:
            assert {key: tuple(tensor.shape) for key, tensor in hypernet.state_dict().items()} == SHAPES
        assert message.startswith(str(folder) if message else "")
        assert message.isprintable()
    (folder / "model.safetensors").write_bytes(content[:-1])
    with pytest.raises(CheckpointError, match="no sound safetensors file"):
        from_pretrained(folder)


def test_unnoticed_flips_change_one_number(tmp_path: Path) -> None:
    """In a joblib file nothing protects the numbers: one flipped bit of a weight is one other weight."""
    state = STATE
    content = bytearray(FORMATS["joblib"](state))
    at = content.index(state["ln.weight"].numpy().tobytes())
    content[at] ^= 1
    (tmp_path / "file.pt").write_bytes(content)
    folder = convert_checkpoint(tmp_path / "file.pt", tmp_path / "own")
    found = load_file(folder / "model.safetensors")
    assert sum(int((found[key] != state[key]).sum()) for key in state) == 1
    assert not torch.equal(found["ln.weight"], state["ln.weight"])
