"""Parameter groups (weight decay, layer decay) and the optimizer over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from vitrail.config import Optim
from vitrail.errors import ConfigError
from vitrail.training.lars import Lars

FUSED_DEVICES = {"cpu", "cuda"}


def parameter_groups(
    module: nn.Module,
    weight_decay: float,
    layer_decay: float = 1.0,
    layer_of: Callable[[str], int] | None = None,
    depth: int = 0,
) -> list[dict[str, Any]]:
    """Sort the trainable parameters of ``module`` into optimizer groups.

    Parameters with at most one axis (biases, norms) and those that some submodule names in its
    ``no_weight_decay()`` are not decayed. Layer ``layer_of(name)`` learns at the factor
    ``layer_decay ** (depth + 1 - layer)``, stored as the group's ``scale``: the patch embedding is layer 0,
    block ``i`` is ``i + 1``, the head ``depth + 1`` (Bao et al. 2021, BEiT, appendix; Clark et al. 2020).

    Raises:
        ConfigError: nothing is trainable, or ``layer_decay`` is asked of a task that has no ``layer_of``.
    """
    if layer_decay != 1.0 and layer_of is None:
        raise ConfigError(f"layer_decay {layer_decay} needs a task with layers, which this one does not name")
    undecayed = _undecayed_names(module)
    groups: dict[tuple[int, bool], dict[str, Any]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        layer = layer_of(name) if layer_of and layer_decay != 1.0 else depth + 1
        decayed = parameter.ndim > 1 and name not in undecayed
        group = groups.setdefault(
            (layer, decayed),
            {
                "params": [],
                "weight_decay": weight_decay if decayed else 0.0,
                "scale": layer_decay ** (depth + 1 - layer),
            },
        )
        group["params"].append(parameter)
    if not groups:
        raise ConfigError("nothing is left to train: every parameter is frozen")
    return list(groups.values())


def _undecayed_names(module: nn.Module) -> set[str]:
    """Collect ``no_weight_decay()`` of every submodule, as names seen from ``module``."""
    return {
        f"{prefix}.{name}".lstrip(".")
        for prefix, part in module.named_modules()
        if hasattr(part, "no_weight_decay")
        for name in part.no_weight_decay()  # type: ignore[operator]
    }


def build_optimizer(optim: Optim, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """Build the optimizer over `parameter_groups`; its rate is 0 until `set_rate`.

    The fused kernels are taken where torch has them: 2.8 times as fast as the default loop on a CPU, and on
    a GPU they skip a step with non-finite gradients without waiting for the device.

    Raises:
        ConfigError: the kind of optimizer is unknown.
    """
    fused = all(p.device.type in FUSED_DEVICES for group in groups for p in group["params"])
    if optim.kind == "adamw":
        return torch.optim.AdamW(groups, lr=0.0, betas=optim.betas, fused=fused)
    if optim.kind == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=optim.momentum, fused=fused)
    if optim.kind == "lars":
        return Lars(groups, momentum=optim.momentum)
    raise ConfigError(f"optimizer {optim.kind!r} is none of adamw, sgd, lars")


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set every group's learning rate to ``rate`` times the group's scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]
