"""What `fit` asks of a task and of its batches; anything that looks like this can be trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

Batch = Mapping[str, Any]
"""Tensors that share their first axis (B, ...), and whatever else travels with them.

Two keys mean something to `fit`: ``position`` (int, the micro-batch's place in the global batch, which
seeds its dropout) and ``damaged`` (list of str, pictures that could not be read).
"""


class Task(Protocol):
    """What is to be learned: an ``nn.Module`` that turns a batch into a loss.

    Three more things are used where a task has them: ``export_state() -> dict[str, Tensor]`` (what
    ``model.safetensors`` shall hold; by default the ``state_dict``), ``layer_of(parameter_name) -> int``
    with ``depth`` (for layer decay), and ``no_weight_decay() -> names`` on any of its modules.
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
    """The training pictures as steps, restartable at any of them."""

    @property
    def batch_size(self) -> int:
        """Pictures per step over all processes: the global batch."""
        ...

    @property
    def images(self) -> int:
        """Images that are trained on, each counted once."""
        ...

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every picture is seen once."""
        ...

    def start(self, step: int) -> Iterator[Sequence[Batch]]:
        """Iterate from ``step`` on; each item holds this process's micro-batches of one step."""
        ...


Draw = Callable[[nn.Module, int], None]
"""Takes the task in evaluation mode and the number of steps done, and draws what it makes of pictures."""

Evaluate = Callable[[nn.Module], Mapping[str, float]]
"""Takes the task in evaluation mode and returns its metrics, the same ones on every process."""
