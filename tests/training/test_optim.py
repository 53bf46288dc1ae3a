from __future__ import annotations

import pytest
import torch
from torch import nn

from vitrail.config import Optim
from vitrail.errors import ConfigError
from vitrail.training.optim import build_optimizer, parameter_groups, set_rate


class Layered(nn.Module):
    """Two blocks and a head, with positions that must not decay."""

    depth = 2

    def __init__(self) -> None:
        super().__init__()
        self.body = Body()
        self.head = nn.Linear(4, 3)

    def layer_of(self, name: str) -> int:
        if name.startswith("head"):
            return self.depth + 1
        return 1 + int(name.split(".")[2]) if ".blocks." in name else 0


class Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.zeros(1, 5, 4))
        self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])

    def no_weight_decay(self) -> set[str]:
        return {"pos_embed"}


def described(module: nn.Module, groups: list[dict]) -> dict[str, tuple[float, float]]:
    """Weight decay and scale of every parameter, by name."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    return {names[id(p)]: (group["weight_decay"], group["scale"]) for group in groups for p in group["params"]}


def test_biases_and_named_parameters_do_not_decay() -> None:
    module = Layered()
    assert described(module, parameter_groups(module, 0.1)) == {
        "body.pos_embed": (0.0, 1.0),
        "body.blocks.0.weight": (0.1, 1.0),
        "body.blocks.0.bias": (0.0, 1.0),
        "body.blocks.1.weight": (0.1, 1.0),
        "body.blocks.1.bias": (0.0, 1.0),
        "head.weight": (0.1, 1.0),
        "head.bias": (0.0, 1.0),
    }


def test_each_layer_learns_slower_than_the_one_above_by_the_layer_decay() -> None:
    module = Layered()
    groups = parameter_groups(module, 0.1, 0.5, module.layer_of, module.depth)
    assert described(module, groups) == {
        "body.pos_embed": (0.0, 0.125),
        "body.blocks.0.weight": (0.1, 0.25),
        "body.blocks.0.bias": (0.0, 0.25),
        "body.blocks.1.weight": (0.1, 0.5),
        "body.blocks.1.bias": (0.0, 0.5),
        "head.weight": (0.1, 1.0),
        "head.bias": (0.0, 1.0),
    }


def test_frozen_parameters_are_in_no_group() -> None:
    module = Layered()
    module.body.requires_grad_(False)
    assert set(described(module, parameter_groups(module, 0.1))) == {"head.weight", "head.bias"}


def test_a_wholly_frozen_task_is_an_error_in_one_sentence() -> None:
    with pytest.raises(ConfigError, match="every parameter is frozen"):
        parameter_groups(Layered().requires_grad_(False), 0.1)


def test_layer_decay_without_layers_is_an_error() -> None:
    with pytest.raises(ConfigError, match="layer_decay"):
        parameter_groups(nn.Linear(2, 2), 0.1, layer_decay=0.9)


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_the_fused_kernels_are_taken(kind: str) -> None:
    optimizer = build_optimizer(Optim(kind), parameter_groups(Layered(), 0.1))  # type: ignore[arg-type]
    assert all(group["fused"] for group in optimizer.param_groups)


def test_adamw_takes_the_step_computed_by_hand() -> None:
    # First step of Adam: m/sqrt(v) is the sign of the gradient; the decay is lr * weight_decay * weight.
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(2.0)
    optimizer = build_optimizer(Optim(weight_decay=0.5), parameter_groups(layer, 0.5))
    set_rate(optimizer, 0.1)
    layer.weight.grad = torch.tensor([[3.0]])
    optimizer.step()
    assert layer.weight.item() == pytest.approx(2.0 - 0.1 * 0.5 * 2.0 - 0.1, abs=1e-6)


def test_the_rate_reaches_every_group_times_its_scale() -> None:
    module = Layered()
    optimizer = build_optimizer(Optim(), parameter_groups(module, 0.1, 0.5, module.layer_of, module.depth))
    set_rate(optimizer, 0.8)
    assert {group["lr"] for group in optimizer.param_groups} == {0.1, 0.2, 0.4, 0.8}


def test_an_unknown_optimizer_is_an_error() -> None:
    with pytest.raises(ConfigError, match="'lion'"):
        build_optimizer(Optim("lion"), parameter_groups(nn.Linear(1, 1), 0.0))  # type: ignore[arg-type]
