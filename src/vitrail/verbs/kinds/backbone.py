"""The weights that a model with a head for every place starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vitrail.training.checkpoint import is_checkpoint
from vitrail.weights.checkpoint import describe
from vitrail.weights.files import read_state
from vitrail.weights.load import load_weights, weights_file


def load_backbone(model: Any, weights: str) -> str:
    """Give a model's backbone the weights of a file, or the whole model those of another of its kind that fit.

    Args:
        model: has a ``backbone``.
        weights: a weights file of a backbone, or a run folder or checkpoint of vitrail's.

    Returns:
        What became of them.

    Raises:
        WeightsError: they cannot be read, or do not belong to the backbone.
    """
    if not is_checkpoint(Path(weights).expanduser()) or describe(weights).task == "classify":
        return f"backbone: {load_weights(model.backbone, weights, adapt=('classes', 'channels'))}"
    own, state = model.state_dict(), read_state(weights_file(weights))
    fitting = {name: tensor for name, tensor in state.items() if name in own and own[name].shape == tensor.shape}
    model.load_state_dict(fitting, strict=False)
    new = [name for name in own if name not in fitting]
    left = f"; new are {', '.join(new[:4])}{', ...' if len(new) > 4 else ''}" if new else ""
    return f"loaded {len(fitting)} of {len(own)} tensors of the whole model{left}"
