"""The weights that a model with a head for every place starts from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vitrail.training.checkpoint import is_checkpoint
from vitrail.weights.description import describe
from vitrail.weights.files import read_state
from vitrail.weights.finite import check_finite
from vitrail.weights.load import fit_state, load_weights, weights_file

ADAPT = ("classes", "channels")
INSIDE = "backbone."
"""What stands before the names of a backbone's tensors inside a detector or segmenter."""


def load_backbone(model: Any, weights: str) -> str:
    """Give a model's backbone the weights of a file or of any run; of a detector or segmenter also what fits its head.

    Args:
        model: has a ``backbone``.
        weights: a weights file of a backbone, or a run folder or checkpoint of vitrail's.

    Returns:
        What became of them.

    Raises:
        WeightsError: they cannot be read, or do not belong to the backbone.
    """
    if not is_checkpoint(Path(weights).expanduser()) or describe(weights).task == "classify":
        return f"backbone: {load_weights(model.backbone, weights, adapt=ADAPT)}"
    state = read_state(weights_file(weights))
    inside = {name.partition(INSIDE)[2]: tensor for name, tensor in state.items() if INSIDE in name}
    report, fitted = fit_state(model.backbone, inside, weights, adapt=ADAPT)
    head = {name: tensor for name, tensor in model.state_dict().items() if INSIDE not in name}
    fitting = {name: state[name] for name, own in head.items() if name in state and state[name].shape == own.shape}
    check_finite(fitting, weights, state)
    model.backbone.load_state_dict(fitted, strict=False)
    model.load_state_dict(fitting, strict=False)
    new = [name for name in head if name not in fitting]
    left = f"; new are {', '.join(new[:4])}{', ...' if len(new) > 4 else ''}" if new else ""
    return f"backbone: {report}; head: loaded {len(fitting)} of {len(head)} tensors{left}"
