"""A trained model as a function of images: no files, no printing, and for each image a small object that says all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

from PIL import Image
from torch import nn

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
        model: in evaluation mode, on the runtime's device.
        description: what its checkpoint says.
        runtime: where it computes.
    """

    def __init__(self, model: Any, description: Description, runtime: Runtime) -> None:
        self.model: nn.Module = model.to(runtime.device).eval()
        self.description = description
        self.runtime = runtime

    @abstractmethod
    def __call__(self, images: Sequence[Image.Image]) -> list[R_co]:
        """Say what is in images.

        Args:
            images: upright, of mode RGB or, where the model is for grey images, L; of any sizes.
        """


__all__ = ["Predictor", "Result"]
