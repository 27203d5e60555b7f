"""What an initialiser is, and what it says that it did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from ghn.common.errors import check_batches
from ghn.common.text import printable

Batch = tuple[Tensor, Tensor]
"""Images (B, 3, H, W) float32 and labels (B,) int64."""

LISTED = 12
"""Kept tensors that a printed report names; the others are counted by reason."""

MOST_NOTES = 24
"""Notes that a printed report shows; the others are counted."""


@dataclass(frozen=True, kw_only=True)
class StartReport:
    """What an initialiser changed, what it left and why; `print(report)` is readable.

    Attributes:
        name: The initialiser, as `ghn.initializers.create` takes it.
        changed: Names of the parameters and buffers that were set.
        kept: Names of the parameters that were left as they were, each with the reason.
        seconds: Wall-clock seconds.
        notes: What else there is to say, a line each.
        steps: The reports of a chain's steps, in order.
    """

    name: str
    changed: tuple[str, ...]
    kept: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    steps: tuple[StartReport, ...] = ()

    def __str__(self) -> str:
        if self.steps:
            return "\n".join([f"{self.name}, {self.seconds:.2f} s", *map(str, self.steps)])
        lines = [f"{printable(self.name)}: {len(self.changed)} tensors set, {self.seconds:.2f} s"]
        reasons: dict[str, list[str]] = {}
        for name, reason in self.kept.items():
            reasons.setdefault(reason, []).append(name)
        for reason, names in reasons.items():
            listed = ", ".join(map(printable, names[:LISTED])) + (", …" if len(names) > LISTED else "")
            lines.append(f"  kept {len(names)} ({printable(reason)}): {listed}")
        lines += [f"  {printable(note)}" for note in self.notes[:MOST_NOTES]]
        more = len(self.notes) - MOST_NOTES
        return "\n".join([*lines, *([f"  and {more} more notes"] if more > 0 else [])])


class Initializer(Protocol):
    """Sets the parameters of a model.

    Attributes:
        name: As `ghn.initializers.create` takes it.
        needs_images: Least images that it needs; 0 where it takes none.
    """

    name: str
    needs_images: int

    def __call__(self, model: nn.Module, batches: Iterable[Batch] | None = None, *, seed: int = 0) -> StartReport:
        """Set the model's parameters in place.

        Args:
            model: The model, with storage; modes, gradients and `requires_grad` stay, and so do buffers unless the
                initialiser is about them.
            batches: Images with labels, iterated over as often as needed; None where no step needs any.
            seed: Governs all that is drawn.

        Raises:
            ValueError: If there are too few images, or the model is not one that the initialiser can do anything for.
        """


def some_images(batches: Sequence[Batch] | None, needed: int, name: str) -> Sequence[Batch]:
    """The batches, labels as int64 where they are whole numbers.

    Raises:
        ValueError: If there are fewer images than an initialiser needs, they hold NaN or infinite values, or
            what is given is no pairs of images and labels.
    """
    check_batches(batches or ())
    count = sum(len(labels) for _, labels in batches or ())
    if count < needed:
        raise ValueError(f"{name} needs at least {needed} labelled images, not {count}; give it more batches")
    assert batches is not None
    if any(images.is_meta for images, _ in batches):
        raise ValueError(f"the images for {name} are on the meta device, where they have no numbers")
    if not all(bool(images.isfinite().all()) for images, _ in batches):
        raise ValueError(f"the images for {name} hold NaN or infinite values; look at how they are made")
    return [(images, labels if labels.is_floating_point() else labels.long()) for images, labels in batches]
