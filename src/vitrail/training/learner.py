"""One optimizer step, and everything that changes while a task learns."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_, get_total_norm

from vitrail.config import Optim
from vitrail.errors import TrainingError
from vitrail.seeding import seeded
from vitrail.training.distributed import gather, parallel, rank, share_buffers, world
from vitrail.training.ema import Ema
from vitrail.training.interfaces import Batch
from vitrail.training.measure import to_device
from vitrail.training.optim import build_optimizer, parameter_groups, set_rate
from vitrail.training.runtime import Runtime

FP16_SCALE = 2.0**16


class Learner:
    """A task with its optimizer, loss scale and averaged weights.

    Nothing in a step waits for the device: whether the gradients are finite, and the means that are shown,
    stay there until someone reads them.
    """

    def __init__(self, task: nn.Module, optim: Optim, *, runtime: Runtime, seed: int, steps: int) -> None:
        device = runtime.device
        self.task = uncompiled(task).to(device)
        self.optim, self.runtime, self.device, self.seed, self.steps = optim, runtime, device, seed, steps
        self.module = parallel(task, device)
        groups = parameter_groups(
            self.task,
            optim.weight_decay,
            optim.layer_decay,
            getattr(self.task, "layer_of", None),
            getattr(self.task, "depth", 0),
        )
        self.parameters: list[nn.Parameter] = [p for group in groups for p in group["params"]]
        self.optimizer = build_optimizer(optim, groups)
        # In every precision the scaler is what skips a step with non-finite gradients; it scales in fp16.
        self.scales = runtime.precision.name == "fp16"
        self.scaler = torch.amp.GradScaler(device.type, init_scale=FP16_SCALE if self.scales else 1.0)
        self.ema = Ema(self.parameters, optim.ema) if optim.ema else None
        self.means = Means(device)
        self.failures = Failures(device)

    def learn(self, micro_batches: Sequence[Batch], *, step: int, batch_size: int, rate: float) -> None:
        """Take optimizer step ``step`` (from 0) on this process's share of a global batch.

        Gradients are weighted by the size of their micro-batch, so the step is that of one forward pass
        over the whole global batch, however it is cut and shared out.

        Args:
            micro_batches: this process's part of the global batch.
            step: seeds whatever the task draws, together with each micro-batch's position.
            batch_size: images in the global batch.
            rate: the learning rate.
        """
        if not micro_batches:
            raise TrainingError(
                f"a batch of {batch_size} has fewer micro-batches than there are processes ({world()}); "
                f"choose a smaller micro_batch"
            )
        self.module.train()
        self.optimizer.zero_grad(set_to_none=True)
        for i, batch in enumerate(micro_batches):
            last = i == len(micro_batches) - 1
            with nullcontext() if last else self._gradients_kept_apart():
                self._backward(batch, step, batch_size)
        self._update(rate, step)

    def _backward(self, batch: Batch, step: int, batch_size: int) -> None:
        # The processes' gradients are averaged, hence the factor of their number.
        share = size_of(batch) / batch_size * world()
        with seeded(seed_of(self.seed, step, batch["position"])):
            with self.runtime.autocast():
                scalars = self.module(self._prepared(batch, step))
            loss = scalars["loss"]
            # A loss that is not finite spoils every gradient on purpose: then all processes skip the step.
            weight = torch.where(loss.detach().isfinite(), share, math.nan)
            self.scaler.scale(loss * weight).backward()
        self.means.add(scalars, share)

    def _prepared(self, batch: Batch, step: int) -> dict[str, Any]:
        """Copy a batch to the device, and say which step it is of where the task asks."""
        there = to_device(batch, self.device)
        if getattr(self.task, "uses_step", False):
            there |= {"step": torch.tensor(step, device=self.device), "steps": self.steps}
        return there

    def _update(self, rate: float, step: int) -> None:
        set_rate(self.optimizer, rate)
        self.scaler.unscale_(self.optimizer)
        norm = self._clip()
        self.scaler.step(self.optimizer)
        self.scaler.update(None if self.scales else 1.0)
        self.failures.add(~norm.isfinite())
        self.means.add({"grad_norm": norm}, 1.0)
        after_step = getattr(self.task, "after_step", None)
        if after_step is not None and bool(norm.isfinite()):  # only such a task makes a step wait for the device
            after_step(step + 1, self.steps)
        if self.ema:
            self.ema.update()

    def _clip(self) -> Tensor:
        """Bound the norm of the whole gradient and return what it was."""
        if self.optim.clip:
            return clip_grad_norm_(self.parameters, self.optim.clip)
        return get_total_norm(p.grad for p in self.parameters if p.grad is not None)

    def _gradients_kept_apart(self) -> AbstractContextManager[None]:
        """Leave out the exchange between processes, for all micro-batches but the last."""
        return self.module.no_sync() if world() > 1 else nullcontext()  # type: ignore[operator]

    @contextmanager
    def evaluating(self) -> Iterator[nn.Module]:
        """Lend the task in evaluation mode, with the averaged weights where there are any."""
        share_buffers(self.task)
        self.task.eval()
        seed = seed_of(self.seed, "evaluation")
        with seeded(seed), self.averaged(), self.runtime.autocast(), torch.no_grad():
            yield self.task

    def averaged(self) -> AbstractContextManager[None]:
        """Put the averaged weights in place inside a ``with`` block; without an average, do nothing."""
        return self.ema.swapped() if self.ema else nullcontext()

    def export_state(self) -> dict[str, Tensor]:
        """Copy what is to be used later to the CPU: the task's own choice, with the averaged weights."""
        export = getattr(self.task, "export_state", self.task.state_dict)
        with self.averaged():
            return {name: tensor.detach().cpu().clone() for name, tensor in export().items()}

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on as if nothing had happened."""
        return {
            "task": self.task.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "ema": self.ema.state_dict() if self.ema else None,
            "failures": self.failures.state_dict(),
        }

    def means_of_row(self) -> list[dict[str, tuple[float, float]]]:
        """Return what the next row of training metrics is made of so far, of every process."""
        return gather({name: tuple(total.tolist()) for name, total in self.means.totals.items()})

    def go_on_with_row(self, means: Sequence[Mapping[str, Sequence[float]]]) -> None:
        """Go on from `means_of_row`; of another number of processes the first one takes all."""
        if len(means) == world():
            own = [means[rank()]]
        else:
            own = list(means) if rank() == 0 else []
        totals: dict[str, Tensor] = {}
        for part in own:
            for name, pair in part.items():
                total = torch.tensor(list(pair), device=self.device)
                totals[name] = totals[name] + total if name in totals else total
        self.means.totals = totals

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`.

        Raises:
            TrainingError: it belongs to another model or another optimizer.
        """
        try:
            self.task.load_state_dict(state["task"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
            if self.ema:
                self.ema.load_state_dict(state["ema"])
            self.failures.load_state_dict(state["failures"])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise TrainingError(
                "the last checkpoint belongs to another model or other settings; take the settings it was "
                "made with, or a new folder"
            ) from error


class Means:
    """Weighted means of named scalars since they were last read; values that are not finite are left out."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.totals: dict[str, Tensor] = {}

    @torch.no_grad()
    def add(self, scalars: dict[str, Tensor], weight: float) -> None:
        """Take one value of each scalar into its mean."""
        for name, value in scalars.items():
            finite = value.isfinite()
            pair = torch.stack([torch.where(finite, value, 0.0).float(), finite.float()]) * weight
            self.totals[name] = self.totals[name] + pair if name in self.totals else pair

    def read(self, name: str) -> float:
        """Return one mean so far (nan without any finite value) and keep counting."""
        total, weight = self.totals[name].tolist() if name in self.totals else (0.0, 0.0)
        return total / weight if weight else math.nan

    def take(self) -> dict[str, tuple[float, float]]:
        """Return ``{name: (sum, weight)}`` with a single wait for the device, and begin anew."""
        names, totals = list(self.totals), list(self.totals.values())
        self.totals = {}
        return dict(zip(names, map(tuple, torch.stack(totals).tolist()), strict=True)) if names else {}


class Failures:
    """Counts steps that were skipped because something was not finite: in a row, and altogether."""

    def __init__(self, device: torch.device) -> None:
        self.counts = torch.zeros(2, dtype=torch.int64, device=device)

    def add(self, failed: Tensor) -> None:
        """Take one step's outcome (bool scalar) into account."""
        self.counts = torch.stack([(self.counts[0] + 1) * failed, self.counts[1] + failed])

    def read(self) -> tuple[int, int]:
        """Return how many of the latest steps failed in a row, and how many failed at all."""
        in_a_row, altogether = self.counts.tolist()
        return in_a_row, altogether

    def state_dict(self) -> dict[str, Any]:
        """Return what `load_state_dict` needs to go on."""
        return {"counts": self.counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.counts.copy_(state["counts"])


def seed_of(*parts: int | str) -> int:
    """Hash ``parts`` to a seed in [0, 2**63), the same one in every process and Python version."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def size_of(batch: Batch) -> int:
    """Return how many images a batch has: the length of its tensors' first axis."""
    tensors = (value[0] if isinstance(value, tuple) else value for value in batch.values())
    return next(len(value) for value in tensors if isinstance(value, Tensor) and value.ndim)


def uncompiled(task: nn.Module) -> nn.Module:
    """Return the module inside ``torch.compile``'s wrapper, whose parameters have their plain names."""
    return getattr(task, "_orig_mod", task)
