import pytest
import torch
from torch import nn

from vitrail.config import Optim
from vitrail.training.lars import TRUST, Lars
from vitrail.training.optim import build_optimizer, parameter_groups, set_rate


def naive(weights: list[float], gradients: list[list[float]], lrs: list[float], decay: float) -> list[float]:
    """Algorithm 1 of You et al. 2017 for one layer, number by number."""
    velocity = [0.0] * len(weights)
    weights = list(weights)
    for gradient, lr in zip(gradients, lrs, strict=True):
        length = sum(w * w for w in weights) ** 0.5
        steepness = sum(g * g for g in gradient) ** 0.5
        local = TRUST * length / (steepness + decay * length)
        for i, g in enumerate(gradient):
            velocity[i] = 0.9 * velocity[i] + lr * local * (g + decay * weights[i])
        weights = [w - v for w, v in zip(weights, velocity, strict=True)]
    return weights


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_every_step_is_that_of_the_papers_algorithm(decay: float) -> None:
    torch.manual_seed(0)
    parameter = nn.Parameter(torch.randn(3, 4, dtype=torch.float64))
    start = parameter.detach().flatten().tolist()
    gradients = torch.randn(5, 12, dtype=torch.float64)
    lrs = [1.0, 20.0, 20.0, 3.0, 0.5]
    optimizer = Lars([parameter], weight_decay=decay)
    for gradient, lr in zip(gradients, lrs, strict=True):
        parameter.grad = gradient.view(3, 4).clone()
        optimizer.param_groups[0]["lr"] = lr
        optimizer.step()
    expected = naive(start, gradients.tolist(), lrs, decay)
    assert parameter.detach().flatten().tolist() == pytest.approx(expected, rel=1e-12)


def test_biases_learn_as_with_plain_sgd() -> None:
    bias, twin = (nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    ours, theirs = Lars([bias], lr=0.1), torch.optim.SGD([twin], lr=0.1, momentum=0.9)
    for gradient in ([0.5, 1.0], [-1.0, 0.25]):
        for parameter, optimizer in ((bias, ours), (twin, theirs)):
            parameter.grad = torch.tensor(gradient)
            optimizer.step()
    torch.testing.assert_close(bias, twin)


def test_weights_of_zero_can_leave_zero() -> None:
    parameter = nn.Parameter(torch.zeros(2, 2))
    parameter.grad = torch.ones(2, 2)
    Lars([parameter], lr=0.5).step()
    assert parameter.detach().flatten().tolist() == [-0.5] * 4


def test_a_gradient_of_zero_moves_nothing_and_makes_no_nan() -> None:
    parameter = nn.Parameter(torch.ones(2, 2))
    parameter.grad = torch.zeros(2, 2)
    Lars([parameter], lr=0.5).step()
    assert parameter.detach().eq(1).all()


def test_the_optimizer_of_a_run_can_be_lars_with_groups_of_its_own() -> None:
    model = nn.Linear(4, 2)
    optimizer = build_optimizer(Optim(kind="lars"), parameter_groups(model, 0.1))
    set_rate(optimizer, 2.0)
    assert isinstance(optimizer, Lars)
    assert sorted(group["weight_decay"] for group in optimizer.param_groups) == [0.0, 0.1]
    assert {group["lr"] for group in optimizer.param_groups} == {2.0}
