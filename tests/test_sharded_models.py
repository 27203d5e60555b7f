"""Models spread over processes by FSDP2 and tensor parallelism: each process writes its part of one prediction."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.warm import Program

PROGRAM = """
import sys
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from tests.hypernet.conftest import small_hypernet

rank, world, store = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=world)
hypernet = small_hypernet()
IMAGES, TOKENS = torch.zeros(2, 3, 8, 8), torch.zeros(2, 9, 8)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Linear(8, 16), nn.Linear(16, 10)
        self.block = nn.TransformerEncoderLayer(16, 2, 31, batch_first=True)
        self.positions = nn.Parameter(torch.zeros(1, 9, 16))
        self.scale = nn.Parameter(torch.full((16,), 0.5))

    def forward(self, x):
        return self.head(self.block(self.embed(x) + self.positions).mean(1) * self.scale)


def make(kind):
    torch.manual_seed(0)
    if kind is Encoder:
        return Encoder()
    return nn.Sequential(nn.Conv2d(3, 13, 3), nn.BatchNorm2d(13), nn.Flatten(), nn.Linear(13 * 36, 18), nn.ReLU(),
                         nn.Linear(18, 10))


def whole(tensor):
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def check(kind, model, inputs):
    own = make(kind)
    expected = hypernet.predict(own, inputs)
    for name, tensor in hypernet.predict(model, inputs).items():
        parameter = model.get_parameter(name)
        assert isinstance(tensor, DTensor) == isinstance(parameter, DTensor), name
        assert tensor.device == parameter.device and tensor.dtype == parameter.dtype
        assert torch.equal(whole(tensor), expected[name]), name
    objects = {id(parameter) for parameter in model.parameters()}
    report = hypernet.initialize(model, inputs)
    assert set(report.predicted) == set(expected) and report.traced_by == "meta"
    assert {id(parameter) for parameter in model.parameters()} == objects
    for name, parameter in own.named_parameters():
        assert torch.equal(whole(model.get_parameter(name)), expected.get(name, parameter)), name


mesh = init_device_mesh("cpu", (world,))

model = make(nn.Sequential)
for index in (0, 3, 5):
    fully_shard(model[index], mesh=mesh)
fully_shard(model, mesh=mesh)
check(nn.Sequential, model, IMAGES)
model(IMAGES)  # leaves whole parameters of the root behind
check(nn.Sequential, model, IMAGES)

model = make(Encoder)
fully_shard(model.block, mesh=mesh)
fully_shard(model, mesh=mesh)
model(TOKENS)
check(Encoder, model, TOKENS)

model = parallelize_module(make(nn.Sequential), mesh, {"3": ColwiseParallel(), "5": RowwiseParallel()})
check(nn.Sequential, model, IMAGES)

if world == 4:
    grid = init_device_mesh("cpu", (2, 2), mesh_dim_names=("data", "tensor"))
    model = parallelize_module(make(nn.Sequential), grid["tensor"], {"3": ColwiseParallel(), "5": RowwiseParallel()})
    fully_shard(model[3], mesh=grid["data"])
    fully_shard(model[5], mesh=grid["data"])
    check(nn.Sequential, model, IMAGES)
    model = make(nn.Sequential)
    fully_shard(model, mesh=grid)
    check(nn.Sequential, model, IMAGES)

# A damaged hypernetwork writes nothing on any process.
model = make(nn.Sequential)
fully_shard(model, mesh=mesh)
before = [whole(parameter).clone() for parameter in model.parameters()]
hypernet.ln.weight.data[0] = torch.inf
try:
    hypernet.initialize(model, IMAGES)
    raise SystemExit("the damage was not noticed")
except ValueError as error:
    assert "is not finite" in str(error)
assert all(torch.equal(a, whole(b)) for a, b in zip(before, model.parameters()))
dist.barrier()
dist.destroy_process_group()
print("done")
"""


@pytest.mark.skipif(
    torch.__version__.startswith("2.6."), reason="PyTorch 2.6 does not run fully_shard's modules on the CPU"
)
@pytest.mark.parametrize("world", [2, *(pytest.param(world, marks=pytest.mark.slow) for world in (3, 4))])
def test_sharded_models_equal_whole_ones(world: int, tmp_path: Path) -> None:
    words = [(str(rank), str(world), str(tmp_path / "store")) for rank in range(world)]
    processes = [Program(PROGRAM, *given) for given in words]
    try:
        for process in processes:
            output, errors = process.communicate(timeout=240)
            assert output.strip().endswith("done"), errors[-3000:]
    finally:
        for process in processes:
            process.kill()
