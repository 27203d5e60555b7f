"""The model card (README.md) of a saved hypernetwork, and what is known about the released ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from huggingface_hub import ModelCardData

from ghn.checkpoint.architecture import Shapes, describe_config
from ghn.common.text import printable
from ghn.data.image_set import ImageSet
from ghn.graph.vocabulary import PRIMITIVES
from ghn.hypernet.config import PRESETS, GHNConfig

QUOTE = "'"
"""What stands for a backtick in the name of a file."""

PARTS = {
    "embed": "primitive embeddings",
    "shape_enc": "shape embeddings",
    "centrality_embed_in": "degree and distance embeddings",
    "centrality_embed_out": "degree and distance embeddings",
    "input_dist_embed": "degree and distance embeddings",
    "gnn": "encoder",
    "ln": "encoder",
    "decoder": "weight decoder",
    "decoder_1d": "bias and norm decoder",
    "bias_class": "bias and norm decoder",
}
PAPERS = MappingProxyType({"graphormer": "GHN-3", "gated_gnn": "GHN-2", "mlp": "MLP baseline of GHN-2"})
CITATION = """@inproceedings{knyazev2021parameter,
  title = {Parameter Prediction for Unseen Deep Architectures},
  author = {Knyazev, Boris and Drozdzal, Michal and Taylor, Graham W. and Romero-Soriano, Adriana},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2021},
}
@inproceedings{knyazev2023scale,
  title = {Can We Scale Transformers to Predict Parameters of Diverse {ImageNet} Models?},
  author = {Knyazev, Boris and Hwang, Doha and Lacoste-Julien, Simon},
  booktitle = {International Conference on Machine Learning},
  year = {2023},
}"""


@dataclass(frozen=True, kw_only=True)
class Release:
    """A hypernetwork that the papers' authors released.

    Attributes:
        preset: Its architecture, a name of `GHNConfig.preset`.
        training: What the papers say about its training, by topic.
    """

    preset: str
    training: Mapping[str, str]


RELEASE_REPOSITORY = "SamsungSAILMontreal/ghn3"


def _ghn3_release(size: str, meta_batch: int) -> Release:
    return Release(
        preset=f"ghn3-{size}",
        training=MappingProxyType(
            {
                "architectures": f"DeepNets-1M, meta-batch m = {meta_batch}",
                "images": "ImageNet (ILSVRC-2012), batch 128, 75 epochs",
                "optimiser": "AdamW, learning rate 4e-4, weight decay 1e-2, cosine decay; γ = 3e-5",
                "trained by": f"the authors of the GHN-3 paper; released on the model hub as {RELEASE_REPOSITORY}",
            }
        ),
    )


RELEASES: Mapping[str, Release] = MappingProxyType(
    {
        "ghn3tm8": _ghn3_release("t", 8),
        "ghn3sm8": _ghn3_release("s", 8),
        "ghn3lm8": _ghn3_release("l", 8),
        "ghn3xlm16": _ghn3_release("xl", 16),
        "ghn2": Release(
            preset="ghn2",
            training=MappingProxyType(
                {
                    "architectures": "DeepNets-1M",
                    "images": "ImageNet (ILSVRC-2012), 300 epochs",
                    "optimiser": "Adam, learning rate 1e-3, weight decay 1e-5, steps at epochs 200 and 250",
                    "trained by": f"the authors of the GHN-2 paper; released on the model hub as {RELEASE_REPOSITORY}",
                }
            ),
        ),
    }
)
"""Released hypernetworks by the stem of their file."""


def preset_of(config: GHNConfig) -> str | None:
    """Name of the preset with this architecture (whatever C and S), if there is one."""
    for name in PRESETS:
        if GHNConfig.preset(name, num_classes=config.num_classes, spatial=config.spatial) == config:
            return name
    return None


def parameter_counts(shapes: Shapes) -> dict[str, int]:
    """Number of parameters by part of the hypernetwork, in the order of `PARTS`.

    Args:
        shapes: Shape of each tensor by key.

    Returns:
        Counts by part; their sum is the total.
    """
    counts = dict.fromkeys(PARTS.values(), 0)
    for key, shape in shapes.items():
        size = 1
        for side in shape:
            size *= side
        counts[PARTS[key.partition(".")[0]]] += size
    return {part: count for part, count in counts.items() if count}


def model_card(
    config: GHNConfig,
    shapes: Shapes,
    *,
    name: str | None = None,
    dtype: str = "float32",
    source: str | None = None,
    training: Mapping[str, str] | None = None,
    results: str | None = None,
    images: ImageSet | None = None,
    license: str = "mit",
) -> str:
    """Text of the model card.

    Args:
        config: Architecture.
        shapes: Shape of each tensor by key.
        name: Title; by default the preset's name.
        dtype: Type of the stored numbers.
        source: File it was converted from.
        training: What it was trained on and how, by topic; "not recorded" if None.
        results: Markdown with measured results.
        images: What is brought along for batch-norm statistics.
        license: Of the weights, as the hub abbreviates licences; "other" for weights of unknown licence.

    Returns:
        Markdown with a YAML header.
    """
    tags = ["graph-hypernetwork", "parameter-prediction", "weight-initialization", "model_hub_mixin"]
    data = ModelCardData(license=license, library_name="ghn", tags=[*tags, "pytorch_model_hub_mixin"])
    title = _plain(name or preset_of(config) or f"{config.encoder} hypernetwork")
    counts = parameter_counts(shapes)
    address = name or "path/to/this/folder"
    rows = {part: f"{count:,}" for part, count in counts.items()} | {"total": f"{sum(counts.values()):,}"}
    origin = f"Converted from {code(source)} without executing it. " if source else ""
    sections = [
        f"---\n{data.to_yaml()}\n---\n\n# {title}\n",
        f"A graph hypernetwork ({PAPERS[config.encoder]}): it reads the computational graph of a PyTorch model and "
        f"predicts its parameters in one forward pass. {origin}Weights are stored as {dtype}.\n",
        f"## Use\n\n```python\nimport ghn, torchvision\n\nhypernet = ghn.from_pretrained({json.dumps(address)})\n"
        f"model = torchvision.models.resnet50(num_classes={config.num_classes})\n"
        "print(hypernet.initialize(model))  # in place; the report says what was predicted\n```\n",
        f"## Architecture\n\n{describe_config(config)}\n\n{_table(config.to_dict())}",
        f"Vocabulary `deepnets1m`: {', '.join(f'`{primitive}`' for primitive in PRIMITIVES)}.\n",
        f"## Parameters\n\n{_table(rows)}",
        f"## Training\n\n{_table(training) if training else 'Not recorded.'}",
        *([f"## Images\n\n{_brought_along(images)}\n"] if images is not None else []),
        *([f"## Results\n\n{results}\n"] if results else []),
        f"## Licence\n\n{_licence(license)}\n",
        f"## Citation\n\n```bibtex\n{CITATION}\n```\n",
    ]
    return "\n".join(sections)


def _brought_along(images: ImageSet) -> str:
    return (
        f"`images.safetensors` holds {len(images)} training images of {code(images.name)}, {images.image_size} pixels, "
        "from which batch-norm statistics of predicted networks are set."
    )


def _licence(license: str) -> str:
    if license == "other":
        return "That of the checkpoint these weights were converted from; see where it was released."
    return f"Weights: {license}."


def code(text: str) -> str:
    """Text that others chose, as code in Markdown: one line, in which nothing is markup."""
    return f"`{printable(text).replace('`', QUOTE)}`"


def _plain(text: str) -> str:
    """One line of Markdown without tags; what is emphasised or in backticks stays so."""
    return printable(text).replace("<", "&lt;") if "`" not in text else printable(text)


def _table(rows: Mapping[str, object]) -> str:
    lines = "".join(f"| {_cell(key)} | {_cell(value)} |\n" for key, value in rows.items())
    return f"| | |\n|---|---|\n{lines}"


def _cell(value: object) -> str:
    return _plain(str(value)).replace("|", "\\|")
