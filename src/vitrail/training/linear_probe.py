"""The linear probe of features that are at hand, for several learning rates at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitrail.config import Schedule
from vitrail.training.lars import Lars
from vitrail.training.optim import set_rate
from vitrail.training.schedule import rate

NORM_EPS = 1e-6
HEAD_STD = 0.01


class LinearProbes(nn.Module):
    """One normalisation and one linear classifier for each learning rate.

    The normalisation has no parameters of its own, so all classifiers see the same: while they learn the batch's
    mean and deviation, afterwards the running ones (He et al. 2022, appendix A.1).

    Args:
        width: D.
        num_classes: K.
        count: how many classifiers, R; all begin alike.
        seed: of the weights.
    """

    def __init__(self, width: int, num_classes: int, count: int, seed: int = 0) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width, affine=False, eps=NORM_EPS)
        generator = torch.Generator().manual_seed(seed)
        start = nn.init.trunc_normal_(torch.empty(num_classes, width), std=HEAD_STD, generator=generator)
        self.weights = nn.ParameterList(start.clone() for _ in range(count))
        self.biases = nn.ParameterList(torch.zeros(num_classes) for _ in range(count))

    def forward(self, features: Tensor) -> Tensor:
        """Score features ``(B, D)`` by every classifier: ``(R, B, K)``."""
        weights, biases = torch.stack(list(self.weights)), torch.stack(list(self.biases))
        return self.norm(features) @ weights.transpose(1, 2) + biases.unsqueeze(1)


def train_probes(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    rates: Sequence[float],
    *,
    epochs: int = 90,
    batch_size: int = 256,
    warmup_epochs: float = 10,
    seed: int = 0,
) -> LinearProbes:
    """Train a linear classifier with each learning rate, all on the same batches.

    LARS without weight decay, a warm-up and half a cosine, as MAE's probe (He et al. 2022, table 10). This is no
    run of `training.loop.fit`: it takes seconds, and leaves nothing that one would go on with.

    Args:
        features: ``(N, D)`` float32, on the device to compute on.
        labels: ``(N,)``, on the same device.
        num_classes: K.
        rates: peak learning rate of each classifier.
        epochs: passes over the features; an incomplete last batch is left out.
        batch_size: features in a step, or all where there are fewer.
        warmup_epochs: linear rise from 0.
        seed: of the weights and the order.

    Returns:
        The classifiers, in evaluation mode.
    """
    probes = LinearProbes(features.shape[1], num_classes, len(rates), seed).to(features.device)
    groups = [
        {"params": [weight, bias], "scale": peak}
        for weight, bias, peak in zip(probes.weights, probes.biases, rates, strict=True)
    ]
    optimizer = Lars(groups)
    batch_size = min(batch_size, len(features))
    steps_per_epoch = len(features) // batch_size
    schedule = Schedule(warmup_epochs=warmup_epochs)
    generator = torch.Generator().manual_seed(seed)
    for step in range(epochs * steps_per_epoch):
        place = step % steps_per_epoch
        if place == 0:
            order = torch.randperm(len(features), generator=generator).to(features.device)
        chosen = order[place * batch_size : (place + 1) * batch_size]
        scores = probes(features[chosen])
        # A sum over classifiers: each gets its own gradient, as if it were alone.
        loss = F.cross_entropy(scores.flatten(0, 1), labels[chosen].repeat(len(rates))) * len(rates)
        optimizer.zero_grad()
        loss.backward()
        set_rate(optimizer, rate(step, epochs * steps_per_epoch, steps_per_epoch, schedule))
        optimizer.step()
    return probes.eval()


@torch.no_grad()
def accuracies(scores: Tensor, labels: Tensor) -> list[float]:
    """Return the share of right answers of each classifier, for scores ``(R, M, K)`` and labels ``(M,)``."""
    return (scores.argmax(dim=-1) == labels).double().mean(dim=-1).tolist()
