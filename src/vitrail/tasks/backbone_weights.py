"""The weights that a model with a head for every place starts from."""

from __future__ import annotations

from typing import Any

from vitrail.heads.registry import is_dense
from vitrail.weights.finite import check_finite
from vitrail.weights.load import fit_state, load_weights
from vitrail.weights.weights_file import WeightsFile

ADAPT = ("classes", "channels")
INSIDE = "backbone."
"""What stands before the names of a backbone's tensors inside a detector or segmenter."""


def load_backbone(model: Any, weights: WeightsFile) -> str:
    """Give a model's backbone the weights of a file or of any run; of a detector or segmenter also what fits its head.

    Args:
        model: has a ``backbone``.
        weights: a weights file of a backbone, or a run folder or checkpoint of vitrail's.

    Returns:
        What became of them.

    Raises:
        WeightsError: they cannot be read, or do not belong to the backbone.
    """
    if not (weights.is_own and is_dense(weights.description.model)):
        return f"backbone: {load_weights(model.backbone, weights, adapt=ADAPT)}"
    state = weights.named_tensors
    inside = {name.partition(INSIDE)[2]: tensor for name, tensor in state.items() if INSIDE in name}
    report, fitted = fit_state(model.backbone, inside, weights.source, adapt=ADAPT)
    head = {name: tensor for name, tensor in model.state_dict().items() if INSIDE not in name}
    fitting = {name: state[name] for name, own in head.items() if name in state and state[name].shape == own.shape}
    check_finite(fitting, weights.source, state)
    model.backbone.load_state_dict(fitted, strict=False)
    model.load_state_dict(fitting, strict=False)
    new = [name for name in head if name not in fitting]
    left = f"; new are {', '.join(new[:4])}{', ...' if len(new) > 4 else ''}" if new else ""
    return f"backbone: {report}; head: loaded {len(fitting)} of {len(head)} tensors{left}"
