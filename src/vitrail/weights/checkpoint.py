"""vitrail's own checkpoints: a folder with the weights and all that is needed to use them."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from vitrail.errors import VitrailError, WeightsError
from vitrail.heads.registry import build
from vitrail.layers.shapes_only import shapes_only
from vitrail.training.checkpoint import check_whole, resolve
from vitrail.weights.build import build_filled, give
from vitrail.weights.description import Description, describe
from vitrail.weights.finite import check_finite
from vitrail.weights.load import fit_state
from vitrail.weights.named import find_model
from vitrail.weights.plausible import check_counts, check_size, header_of
from vitrail.weights.reader import State, read_state
from vitrail.weights.sidecars import inside


def open_checkpoint(source: str | Path, *, accept_license: bool = False) -> tuple[nn.Module, Description]:
    """Build the model of a checkpoint with its weights, in evaluation mode.

    Args:
        source: as for `describe`.
        accept_license: the licence of what is fetched is accepted, where it asks for that; remembered for later.

    Raises:
        WeightsError: there is no checkpoint, or it is damaged.
    """
    found = find_model(source, accept_license=accept_license)
    description = describe(source)
    checkpoint = resolve(found.path)
    file = inside(checkpoint, "model.safetensors")
    _check_fits(description, file)
    check_whole(checkpoint)
    model = build_filled(lambda: build(description.model), lambda model: _fill(model, file))
    return model, description


def _fill(model: nn.Module, file: Path) -> None:
    state = read_state(file)
    if state.keys() == model.state_dict().keys():
        _check_exact(model, state, file)
        give(model, state)
    else:  # under plain names, or of a version that named or kept less
        give(model, fit_state(model, state, str(file))[1])


def _check_fits(description: Description, file: Path) -> None:
    """Refuse a description of a model that its file of weights cannot hold, before any memory is taken.

    Raises:
        WeightsError: it asks for more than there is.
    """
    sizes = header_of(file)
    check_counts(description.model.backbone_options, sizes, file)
    check_counts(description.model.head_options, sizes, file)
    try:
        with shapes_only():
            model = build(description.model)
    except (VitrailError, RuntimeError, ValueError, TypeError, ArithmeticError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise WeightsError(
            f"the config.json beside {file} describes no model that can be built ({reason}); take another checkpoint"
        ) from None
    check_size(model, sizes, file)


def _check_exact(model: nn.Module, state: State, file: Path) -> None:
    """Refuse tensors that are not exactly those of a model of which only shapes are there."""
    check_finite(state, str(file))
    try:
        model.load_state_dict({name: tensor.to("meta") for name, tensor in state.items()})
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise WeightsError(f"{file} does not hold the model its config.json describes ({reason})") from None
