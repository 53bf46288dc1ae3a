import math

import torch
import torch.nn.functional as F

from vitrail.training.lars import Lars
from vitrail.training.linear_probe import LinearProbes, accuracies, train_probes


def clusters(count: int = 200, classes: int = 4, width: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(classes, width, generator=generator) * 3
    labels = torch.arange(count) % classes
    return centres[labels] + torch.randn(count, width, generator=generator) + 5, labels


def test_several_rates_at_once_learn_as_each_would_alone() -> None:
    features, labels = clusters()
    together = train_probes(features, labels, 4, (0.1, 1.0, 30.0), epochs=5, batch_size=64, warmup_epochs=1)
    for number, rate in enumerate((0.1, 1.0, 30.0)):
        alone = train_probes(features, labels, 4, (rate,), epochs=5, batch_size=64, warmup_epochs=1)
        torch.testing.assert_close(together.weights[number], alone.weights[0], rtol=1e-4, atol=1e-6)


def test_the_probe_is_the_published_one_step_by_step() -> None:
    """Batch norm without affine, LARS, no weight decay, warm-up and cosine, written out."""
    features, labels = clusters(60)
    ours = train_probes(features, labels, 4, (2.0,), epochs=3, batch_size=20, warmup_epochs=1, seed=3)
    norm = torch.nn.BatchNorm1d(8, affine=False, eps=1e-6)
    head = torch.nn.Linear(8, 4)
    start = LinearProbes(8, 4, 1, seed=3)
    head.load_state_dict({"weight": start.weights[0].detach(), "bias": start.biases[0].detach()})
    optimizer = Lars(head.parameters())
    generator = torch.Generator().manual_seed(3)
    for step in range(9):
        if step % 3 == 0:
            order = torch.randperm(60, generator=generator)
        batch = order[step % 3 * 20 : step % 3 * 20 + 20]
        optimizer.zero_grad()
        F.cross_entropy(head(norm(features[batch])), labels[batch]).backward()
        factor = (step + 1) / 4 if step < 3 else 0.5 * (1 + math.cos(math.pi * (step - 3) / 6))
        optimizer.param_groups[0]["lr"] = 2.0 * factor
        optimizer.step()
    torch.testing.assert_close(ours.weights[0], head.weight, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(ours.norm.running_mean, norm.running_mean)


def test_evaluation_uses_running_statistics_and_changes_nothing() -> None:
    features, labels = clusters()
    probes = train_probes(features, labels, 4, (1.0,), epochs=2, batch_size=64)
    before = probes.norm.running_mean.clone()  # type: ignore[union-attr]
    one_by_one = torch.cat([probes(features[i : i + 1]) for i in range(10)], dim=1)
    torch.testing.assert_close(one_by_one, probes(features[:10]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(probes.norm.running_mean, before)


def test_the_same_features_give_the_same_numbers_to_the_last_bit() -> None:
    features, labels = clusters()
    first, again = (train_probes(features, labels, 4, (0.5, 5.0), epochs=4, batch_size=50) for _ in range(2))
    assert torch.equal(first(features), again(features))


def test_clusters_are_told_apart() -> None:
    features, labels = clusters()
    probes = train_probes(features, labels, 4, (30.0,), epochs=40, batch_size=50)
    assert accuracies(probes(features), labels)[0] > 0.95
