"""A trained model as a function of images: no files, no printing, and for each image a small object that says all.

What a model makes of images is computed here and nowhere else: `predict`, `evaluate` and `look` ask a predictor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

import torch
from PIL import Image
from torch import nn

from vitrail.data.batches import EvalBatches, Loading
from vitrail.data.samples import Samples
from vitrail.data.sources import Images
from vitrail.training import distributed
from vitrail.training.runtime import Runtime
from vitrail.weights.description import Description


class Result(Protocol):
    """What a model says of one image."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, as JSON has them."""
        ...

    def _repr_html_(self) -> str:
        """Show it in a notebook."""
        ...


R_co = TypeVar("R_co", covariant=True, bound=Result)


class Predictor(ABC, Generic[R_co]):
    """Images to results, one for each in their order.

    What is said of an image depends on no other image in the call.

    Attributes:
        module: the model with its normalisation, in evaluation mode on the runtime's device; `vitrail.training.measure`
            measures the same one along a run, so that a run's figures and those of `evaluate` are of one computation.
        description: what its checkpoint says.
        runtime: where it computes.
    """

    def __init__(self, module: nn.Module, description: Description, runtime: Runtime) -> None:
        self.module: Any = module.to(runtime.device).eval()
        self.description = description
        self.runtime = runtime

    @property
    def model(self) -> Any:
        """The model itself."""
        return self.module.model

    @property
    def about(self) -> str:
        """How it answers, a sentence for people; "" where that goes without saying."""
        return ""

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever uses its answers must know, a sentence each."""
        return ()

    @abstractmethod
    def __call__(self, images: Sequence[Image.Image]) -> list[R_co]:
        """Say what is in images.

        Args:
            images: upright, of mode RGB or, where the model is for grey images, L; of any sizes.
        """

    @abstractmethod
    def samples(self, images: Images) -> Samples:
        """Return images of a data set as the model takes them, with what is known of each."""

    def batches(self, images: Images, batch_size: int, workers: int) -> EvalBatches:
        """Return this process's share of the images of a data set, loaded by ``workers`` processes.

        Over all processes every image comes exactly once.
        """
        loading = Loading(workers, distributed.rank(), distributed.world())
        return EvalBatches(self.samples(images), batch_size, loading)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Compute without gradients, in the runtime's precision."""
        with torch.inference_mode(), self.runtime.autocast():
            yield


__all__ = ["Predictor", "Result"]
