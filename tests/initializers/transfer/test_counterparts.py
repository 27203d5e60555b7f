"""What goes with aligned layers: norms, biases, positions, and what no primitive describes."""

from __future__ import annotations

from torch import Tensor, nn

from ghn.initializers.transfer.counterparts import counterparts, statistics_of
from ghn.initializers.transfer.network import Network
from tests.initializers.transfer.networks import IMAGES, Transformer, plain


def between(ours: nn.Module, theirs: nn.Module) -> tuple[Network, Network]:
    return Network(ours, IMAGES), Network(theirs, IMAGES)


def test_a_network_corresponds_to_itself() -> None:
    for model in (plain(4), Transformer(8, 2)):
        ours, theirs = between(model, model)
        found = counterparts(ours, theirs)
        assert found.sources == {name: name for name in ours.tensors}
        assert not found.folded
        assert not found.absent
        assert not found.reasons


def test_each_tensor_has_a_source_or_a_reason() -> None:
    models = [plain(4), plain(4, norm=False), plain(2, blocks=3), Transformer(8, 2), Transformer(8, 3, classes=4)]
    for one in models:
        for other in models:
            ours, theirs = between(one, other)
            found = counterparts(ours, theirs)
            named = [*found.sources, *found.absent, *found.reasons]
            assert sorted(named) == sorted(ours.tensors)
            assert {*found.sources.values()} <= theirs.tensors.keys()


def test_blocks_take_all_they_have_from_one_block() -> None:
    ours, theirs = between(Transformer(8, 3), Transformer(8, 5))
    found = counterparts(ours, theirs)
    assert found.sources == {name: name for name in ours.tensors}
    ours, theirs = between(Transformer(8, 4), Transformer(8, 2))
    found = counterparts(ours, theirs)
    for name, source in found.sources.items():
        wanted = name
        if name.startswith("blocks."):
            _, index, rest = name.split(".", 2)
            wanted = f"blocks.{int(index) // 2}.{rest}"
        assert source == wanted


def test_a_layer_without_a_norm_absorbs_its_counterparts() -> None:
    ours, theirs = between(plain(4, norm=False), plain(4))
    found = counterparts(ours, theirs)
    assert {layer: norm.parameters for layer, norm in found.folded.items()} == {
        "0.weight": {"norm_weight": "1.weight", "norm_bias": "1.bias"},
        "2.weight": {"norm_weight": "4.weight", "norm_bias": "4.bias"},
        "5.weight": {"norm_weight": "8.weight", "norm_bias": "8.bias"},
        "7.weight": {"norm_weight": "11.weight", "norm_bias": "11.bias"},
    }
    assert found.absent == ("0.bias", "2.bias", "5.bias", "7.bias")
    assert found.sources["12.bias"] == "16.bias"


def test_a_norm_without_one_in_the_source_stays() -> None:
    ours, theirs = between(plain(4), plain(4, norm=False))
    found = counterparts(ours, theirs)
    assert found.reasons["1.weight"] == "the source has no such norm beside 0.weight"
    assert "1.running_mean" in found.reasons


def test_of_several_norms_each_has_its_own() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.one, self.other = nn.Linear(16, 4), nn.LayerNorm(4), nn.LayerNorm(4)
            self.head = nn.Linear(4, 3)

        def forward(self, images: Tensor) -> Tensor:
            x = self.stem(images).mean((1, 2))
            x = x + x.square().sqrt()
            return self.head(self.one(x) + self.other(x))

    ours, theirs = between(Two(), Two())
    assert counterparts(ours, theirs).sources == {name: name for name in ours.tensors}


def test_heads_of_other_classes_stay_and_their_norm_does_not() -> None:
    ours, theirs = between(Transformer(8, 2, classes=4), Transformer(8, 2))
    found = counterparts(ours, theirs)
    reason = "a head of 4 classes; the source's has 5"
    assert found.reasons == {"head.weight": reason, "head.bias": reason}
    assert found.sources["norm.weight"] == "norm.weight"


def test_a_source_without_a_head() -> None:
    headless = nn.Sequential(*list(plain(4))[:-1])
    ours, theirs = between(plain(4), headless)
    found = counterparts(ours, theirs)
    last = "the source has no head"
    # The last convolution of the headless network is one, for want of another.
    assert found.reasons.get("16.weight", last) in (last, "a head of 5 classes; the source's has 8")
    assert found.sources["0.weight"] == "0.weight"


def test_statistics_are_those_of_the_norms_module() -> None:
    network = Network(plain(4), IMAGES)
    names = [statistics_of(network, entry) for entry in network.attached if entry.norm]
    assert names[0] == ("1.running_mean", "1.running_var")
    transformer = Network(Transformer(8, 1), IMAGES)
    assert {statistics_of(transformer, entry) for entry in transformer.attached if entry.norm} == {None}
