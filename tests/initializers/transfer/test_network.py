"""What a graph says of layers, and what stands beside them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ghn.graph.computational_graph import Role
from ghn.initializers.transfer.network import Network
from tests.initializers.networks import small


class Residual(nn.Module):
    """A block with a norm before it, a depthwise convolution, a scale that no primitive describes, and a pool."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 4, stride=4)
        self.stem_norm = nn.BatchNorm2d(8)
        self.before = nn.GroupNorm(1, 8)
        self.spread = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.mix = nn.Conv2d(8, 8, 1, bias=False)
        self.scale = nn.Parameter(torch.full((8, 1, 1), 0.5))
        self.after_pool = nn.Conv2d(8, 12, 3)
        self.norm = nn.LayerNorm(12)
        self.head = nn.Linear(12, 5)
        self.register_buffer("steps", torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        x = self.stem_norm(self.stem(images)).relu()
        x = x + self.scale * self.mix(self.spread(self.before(x)).relu())
        x = self.after_pool(nn.functional.max_pool2d(x, 2))
        return self.head(self.norm(x.mean((2, 3))))


def network() -> Network:
    return Network(Residual(), torch.zeros(2, 3, 32, 32))


def test_layers_in_order_with_what_is_around_them() -> None:
    places = network().places
    assert list(places) == ["stem.weight", "spread.weight", "mix.weight", "after_pool.weight", "head.weight"]
    stem, spread, mix, after_pool, head = places.values()
    assert (stem.first, stem.out, stem.inputs, stem.kernel, stem.depthwise) == (True, 8, 3, (4, 4), False)
    assert (spread.depthwise, spread.inputs, spread.chained) == (True, 1, True)
    assert stem.after == {"sep_conv", "sum"}
    assert (mix.before, mix.after, mix.chained) == ({"sep_conv"}, {"sum"}, True)
    assert (after_pool.before, after_pool.pooled, mix.pooled, after_pool.chained) == ({"sum"}, True, False, False)
    assert (head.head, head.kernel, head.before, head.after) == (True, (), {"conv"}, {"output"})


def test_norms_and_biases_belong_to_layers() -> None:
    found = {
        name: (entry.layer, entry.follows, entry.norm, role)
        for entry in network().attached
        for role, name in entry.parameters.items()
    }
    assert found["stem_norm.weight"] == ("stem.weight", True, True, Role.NORM_WEIGHT)
    assert found["stem.bias"] == ("stem.weight", True, False, Role.BIAS)
    # Not what the first layer computes goes into it directly, but what the first norm makes of it.
    assert found["before.bias"] == ("spread.weight", False, True, Role.NORM_BIAS)
    assert found["norm.weight"] == ("head.weight", False, True, Role.NORM_WEIGHT)
    assert found["head.bias"] == ("head.weight", True, False, Role.BIAS)


def test_the_nearest_norm_stands_before_the_next_layer() -> None:
    of = network()
    before, after = (of.nearest_norm("spread.weight", follows=follows) for follows in (False, True))
    assert before is not None
    assert before.parameters[Role.NORM_WEIGHT] == "before.weight"
    assert after is None
    through_the_sum = of.nearest_norm("after_pool.weight", follows=False)
    assert through_the_sum is not None
    assert through_the_sum.parameters[Role.NORM_WEIGHT] == "stem_norm.weight"


def test_the_rest_is_known_by_the_layers_of_its_module() -> None:
    of = network()
    others = ["scale", "stem_norm.running_mean", "stem_norm.running_var", "stem_norm.num_batches_tracked", "steps"]
    assert sorted(of.others) == sorted(others)
    assert of.layers_around("stem_norm.running_mean") == of.layers_around("steps") == set(of.layers)
    nested = Network(nn.Sequential(small(), nn.Linear(3, 2)), torch.zeros(2, 3, 12, 12))
    assert nested.layers_around("0.1.running_mean") == {"0.0.weight", "0.4.weight", "0.9.weight"}


def test_a_norm_behind_the_last_layer_belongs_to_it() -> None:
    of = Network(nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.LayerNorm(3)), torch.zeros(2, 4))
    assert [(entry.layer, entry.follows) for entry in of.attached if entry.norm] == [("0.weight", True)]
