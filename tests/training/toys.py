"""A task and batches small enough to be trained a hundred times in a test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vitrail.config import Optim, Run, Schedule
from vitrail.seeding import preserved
from vitrail.training.loop import Summary, Training, fit
from vitrail.training.measure import measure

WIDTH, CLASSES = 6, 3


class ToyTask(nn.Module):
    """A classifier with everything that makes resuming hard: dropout, a norm, and weights that are averaged."""

    def __init__(self, dropout: float = 0.2, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        with preserved():  # layers draw their first weights: never while another thread's dropout draws
            self.net = nn.Sequential(
                nn.Linear(WIDTH, 8), nn.LayerNorm(8), nn.GELU(), nn.Dropout(dropout), nn.Linear(8, CLASSES)
            )
        for parameter in self.net.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3

    def forward(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        logits = self.net(batch["image"].float())
        return {"loss": F.cross_entropy(logits, batch["label"])}

    def measure(self, batch: dict[str, Any]) -> dict[str, tuple[Tensor, Tensor]]:
        logits, label = self.net(batch["image"].float()), batch["label"]
        count = torch.tensor(len(label))
        return {
            "loss": (F.cross_entropy(logits, label, reduction="sum"), count),
            "top1": ((logits.argmax(1) == label).sum(), count),
        }


class ToyBatches:
    """Batches that depend on the step alone, cut and dealt as those of `vitrail.data`."""

    def __init__(
        self,
        batch_size: int = 8,
        steps_per_epoch: int = 5,
        micro_batches: int = 1,
        rank: int = 0,
        world: int = 1,
        damaged: dict[int, list[str]] | None = None,
    ) -> None:
        self.batch_size, self.steps_per_epoch = batch_size, steps_per_epoch
        self.images = batch_size * steps_per_epoch
        self.micro_batches, self.rank, self.world, self.damaged = micro_batches, rank, world, damaged or {}

    def start(self, step: int) -> Iterator[list[dict[str, Any]]]:
        while True:
            generator = torch.Generator().manual_seed(step % (3 * self.steps_per_epoch))
            image = torch.randn(self.batch_size, WIDTH, generator=generator)
            label = image[:, :CLASSES].argmax(dim=1)
            cuts = zip(image.tensor_split(self.micro_batches), label.tensor_split(self.micro_batches), strict=True)
            yield [
                {"image": i, "label": y, "position": position, "damaged": self.damaged.get(step, [])}
                for position, (i, y) in enumerate(cuts)
                if position % self.world == self.rank
            ]
            step += 1


def evaluate(task: nn.Module) -> dict[str, float]:
    """Measure a toy on batches it does not train on."""
    return measure(task, (step[0] for step, _ in zip(ToyBatches(16).start(1000), range(2), strict=False)))


def train(folder: Path, **changes: Any) -> Summary:
    """Run `fit` on the toys; ``changes`` replace its arguments, with ``task`` and ``batches`` among them."""
    arguments: dict[str, Any] = {
        "task": ToyTask(),
        "batches": ToyBatches(micro_batches=2),
        "evaluate": evaluate,
        "epochs": 4,
        "lr": 0.05,
        "optim": Optim(ema=0.9),
        "schedule": Schedule(),
        "run": Run(device="cpu", precision="fp32"),
        "config": {"toy": True},
    } | changes
    on_event = arguments.pop("on_event", None)
    return fit(Training(folder=folder, **arguments), on_event)


def hash_of(value: Any) -> str:
    """Hash nested dicts, lists, tensors and numbers, bit by bit."""
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, dict):
        for key in value:
            digest.update(repr(key).encode())
            _feed(digest, value[key])
    elif isinstance(value, (list, tuple)):
        for item in value:
            _feed(digest, item)
    elif isinstance(value, Tensor):
        digest.update(value.detach().contiguous().numpy().tobytes())
    else:
        digest.update(repr(value).encode())
