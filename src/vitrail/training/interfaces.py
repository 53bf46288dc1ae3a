"""What `fit` asks of a task and of its batches; anything that looks like this can be trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from vitrail.config import Optim, Run, Schedule

if TYPE_CHECKING:
    from vitrail.training.runtime import Runtime

Batch = Mapping[str, Any]
"""Tensors that share their first axis (B, ...), and whatever else travels with them.

An image stands under ``image`` (B, C, H, W); several views of it, whose sizes may differ, stand under ``views``, a
tuple of such tensors. Two more keys mean something to `fit`: ``position`` (int, the micro-batch's place in the global
batch, which seeds its dropout) and ``damaged`` (list of str, images that could not be read).
"""


class Task(Protocol):
    """What is to be learned: an ``nn.Module`` that turns a batch into a loss.

    More is used where a task has it:

    - ``export_state() -> dict[str, Tensor]``: what ``model.safetensors`` shall hold; by default the ``state_dict``;
    - ``layer_of(parameter_name) -> int`` with ``depth``, for layer decay;
    - ``no_weight_decay() -> names``, on any of its modules;
    - ``uses_step = True``: every training batch then holds ``step``, an int64 scalar tensor on the task's device (a
      tensor, so that a compiled task is not compiled anew for each), and ``steps``, the whole number of them (int);
    - ``after_step(step, steps)``: called once after every optimizer step that changed the weights, with the number of
      steps done; what a teacher that follows its student needs. A step that is skipped, as its gradient was not
      finite, calls nothing. What it changes belongs into the task's ``state_dict``, or a resume loses it.
    """

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``{"loss": scalar, ...}``, averaged over the batch; the other scalars are only shown."""
        ...

    def measure(self, batch: Batch) -> dict[str, tuple[Tensor, Tensor]]:
        """Return ``{name: (sum, count)}`` of one evaluation batch, so that batches and processes add up.

        Both are numbers, or vectors with one place for each class: the figure is then the mean of the classes' ratios.
        """
        ...


class Batches(Protocol):
    """The training images as steps, restartable at any of them."""

    @property
    def batch_size(self) -> int:
        """Images per step over all processes: the global batch."""
        ...

    @property
    def images(self) -> int:
        """Images that are trained on, each counted once."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every image is seen once."""
        ...

    def start(self, step: int) -> Iterator[Sequence[Batch]]:
        """Iterate from ``step`` on; each item holds this process's micro-batches of one step."""
        ...


Draw = Callable[[nn.Module, int], None]
"""Takes the task in evaluation mode and the number of steps done, and draws what it makes of images."""

Evaluate = Callable[[nn.Module], Mapping[str, float]]
"""Takes the task in evaluation mode and returns its metrics, the same ones on every process."""


@dataclass(frozen=True)
class Training:
    """What is trained, on what, and how: all that `fit` needs to know.

    Attributes:
        task: what is learned (`Task`); it ends with the last step's weights.
        batches: the training images.
        evaluate: gets the task in evaluation mode, with averaged weights if there are any, and returns its
            metrics; None leaves evaluation out.
        epochs: how long; need not be whole.
        lr: the learning rate at the top of the schedule.
        optim: the optimizer.
        schedule: the learning rate's way up and down.
        run: seed, device, precision; how often to evaluate and save.
        folder: the run folder; gets ``checkpoints``, ``metrics.jsonl`` and ``summary.json``.
        config: JSON values stored in every checkpoint.
        monitor: the metric that decides what is best, by default the first one ``evaluate`` returns; names
            with "loss" in them are better when small.
        draw: called in the main process every ``run.draw_every`` epochs, with the task as ``evaluate`` gets it and
            the number of steps done.
        files: the content of more files that every checkpoint holds, by their names.
        kernel: what else computes than torch; a resume with another one is said not to be bit for bit.
        runtime: where it computes; by default as ``run`` says.
    """

    task: nn.Module
    batches: Batches
    evaluate: Evaluate | None
    epochs: float
    lr: float
    optim: Optim
    schedule: Schedule
    run: Run
    folder: Path
    config: dict[str, Any]
    monitor: str | None = None
    draw: Draw | None = None
    files: Mapping[str, bytes] | None = None
    kernel: str = ""
    runtime: Runtime | None = None

    @property
    def steps(self) -> int:
        """Optimizer steps in all, at least one."""
        return max(1, round(self.epochs * self.batches.steps_per_epoch))

    @property
    def checkpoints(self) -> Path:
        """Where its checkpoints lie."""
        return self.folder / "checkpoints"
