"""From a training's state to a hypernetwork with a model card."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ghn.checkpoint.architecture import check_shapes
from ghn.checkpoint.save import save_pretrained
from ghn.common.text import shown
from ghn.hypernet import GHN
from ghn.meta.config import MetaTrainingConfig
from ghn.training.state import StateError, load_state

STATED = ("config", "hypernet", "step", "elapsed", "skipped", "out_of_memory")
"""What of a state is needed here."""


def export(
    run: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    *,
    command: str | None = None,
    half: bool = False,
    averaged: bool = False,
    best: bool = False,
    **card: Any,
) -> Path:
    """Save the hypernetwork of a run's last state in the format of `ghn.from_pretrained`.

    Args:
        run: The run's folder.
        folder: Where to.
        command: How the run was started, for the model card.
        half: Store float16 numbers (they are computed with in float32 when loaded).
        averaged: Save the moving average of the weights (config `average`) instead of the last ones.
        best: Save the weights that a validation found best (config `select_by`) instead of the last ones.
        card: Other arguments of `ghn.checkpoint.card.model_card`, e.g. `name`, `results`; entries of `training` are
            added to what the state says.

    Returns:
        `folder`.

    Raises:
        StateError: When the run has no state, or a damaged one.
    """
    state = load_state(Path(run), keys=STATED)
    if state is None:
        raise StateError(f"there is no state of a run in {run}; train one first with ghn train")
    if averaged and "average" not in state:
        raise StateError(f"the run in {run} keeps no average of its weights; train one with average, or export without")
    if best and not dict(state.get("best", {})).get("weights"):
        raise StateError(
            f"the run in {run} keeps no best weights yet; train one with select_by and validations, or export without"
        )
    try:
        config = MetaTrainingConfig.from_dict(state["config"])
        # Sizes that the configuration states are made only where the weights have them.
        weights = state["best"]["weights"] if best else averaged_weights(state) if averaged else state["hypernet"]
        check_shapes({key: tuple(value.shape) for key, value in weights.items()}, config.hypernet)
        hypernet = GHN(config.hypernet)
        hypernet.load_state_dict(weights)
        if best:
            state = {**state, "step": state["best"]["step"]}
        training = describe_training(config, state, command) | dict(card.pop("training", {}))
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise StateError(f"the state in {run} is not that of a meta-training ({shown(str(error), 200)})") from error
    if half:
        hypernet.to(torch.float16)
    return save_pretrained(hypernet, Path(folder), training=training, **card)


def averaged_weights(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """The moving average in a run's state, by the names that the hypernetwork gives its weights."""
    prefix = "module."
    return {name.removeprefix(prefix): value for name, value in state["average"].items() if name.startswith(prefix)}


def describe_training(config: MetaTrainingConfig, state: Mapping[str, Any], command: str | None) -> dict[str, str]:
    """What a model card says of a training, by topic."""
    space = config.space
    limits = {
        "cells": space.max_cells,
        "nodes": space.max_nodes,
        "parameters": space.max_parameters,
        "million multiply-adds": space.max_megamacs,
    }
    stated = [f"at most {limit:g} {what}" for what, limit in limits.items() if limit is not None]
    if space.channels:
        stated.append(f"widths {', '.join(map(str, space.channels))}")
    if space.attention < 1:
        stated.append(f"{100 * space.attention:g} % of those with attention kept")
    images = "the same for all networks of a step" if config.shared_images else "other ones for each network"
    average = "" if config.average is None else f", moving average of decay {config.average:g}"
    start = f"from {config.start_from}" if config.start_from else "from fresh weights"
    scale = "" if config.initialization == "published" else f", initial scale by {config.initialization}"
    objective = "cross-entropy"
    if config.inner_steps:
        objective = (
            f"{1 - config.inner_share:g} × cross-entropy + {config.inner_share:g} × that after {config.inner_steps} "
            f"steps of SGD at rate {config.inner_rate:g} (first order)"
        )
    if config.weight_noise:
        objective += f", noise of {config.weight_noise:g} × each tensor's root mean square"
    clip = "" if config.clip is None else f", gradient norm at most {config.clip:g}"
    return {
        "command": f"`{command}`" if command else "not recorded",
        "images": f"{config.data}, {config.image_size} pixels, {config.held_out} training images held out"
        + (f", {config.few_shot} kept of the others" if config.few_shot else ""),
        "networks": f"DeepNets-1M, split {space.split}" + (f", {'; '.join(stated)}" if stated else ", all of it"),
        "objective": objective,
        "steps": f"{state['step']:,} {start}{scale}, each of {config.meta_batch} networks on {config.images} images "
        f"({images})",
        "time": f"{state['elapsed'] / 60:.0f} minutes of wall time",
        "optimiser": f"{config.optimizer}, peak learning rate {config.learning_rate:g}, {config.schedule} schedule, "
        f"weight decay {config.weight_decay:g}{clip}{average}",
        "regulariser": f"{config.penalty:g} × sum of {config.penalty_form}s of the predicted tensors",
        "precision": config.precision,
        "skipped": f"{state['skipped']} non-finite steps, {state['out_of_memory']} networks for want of memory",
    }
