"""Whether two weights files are one model: tensor by tensor, and by what both compute."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vitrail.data.images import open_image
from vitrail.data.transforms import eval_transform
from vitrail.errors import VitrailError
from vitrail.heads.registry import build
from vitrail.seeding import preserved
from vitrail.weights.load import load_weights
from vitrail.weights.weights_file import WeightsFile, open_weights


@dataclass(frozen=True)
class Comparison:
    """How two weights files differ.

    Attributes:
        file: the one.
        source: the other.
        tensors: how many both have, under plain names.
        missing: plain names that only the source has.
        added: plain names that only the file has.
        changed: plain names of tensors that are not bit for bit the same.
        difference: of what the two compute for one image, the largest difference relative to the largest value;
            None where one of them belongs to no model here or lacks what that needs.
        reason: why there is no difference of outputs; "" where there is one.
    """

    file: Path
    source: Path
    tensors: int
    missing: tuple[str, ...]
    added: tuple[str, ...]
    changed: tuple[str, ...]
    difference: float | None
    reason: str = ""

    @property
    def same(self) -> bool:
        """Whether both hold the same tensors, bit for bit."""
        return not (self.missing or self.added or self.changed)

    def __str__(self) -> str:
        lines = [
            f"  {what:<15}{_listed(names)}"
            for what, names in (("lacks", self.missing), ("adds", self.added), ("changes", self.changed))
            if names
        ]
        lines = lines or [f"  tensors        all {self.tensors} are those of {self.source}, bit for bit"]
        if self.difference is None:
            return "\n".join((*lines, f"  outputs        not compared: {self.reason}"))
        shown = "equal, bit for bit" if self.difference == 0 else f"differ by {self.difference:.1e} of the largest"
        return "\n".join((*lines, f"  outputs        {shown}"))


def compare(
    file: str | Path | WeightsFile, source: str | Path | WeightsFile, image: str | Path | None = None
) -> Comparison:
    """Compare a weights file with the one it was made from, whatever the layouts of both.

    Args:
        file: as for `vitrail.load_weights`.
        source: likewise.
        image: what both shall be shown; noise from a fixed seed when absent.

    Raises:
        WeightsError: one of them cannot be read, or is of no known layout.
        ImageError: the image cannot be used.
    """
    ours, theirs = open_weights(file), open_weights(source)
    here, there = ours.tensors, theirs.tensors
    images, (difference, reason) = _images(theirs, image), (None, "")
    try:
        difference = _relative(_outputs(ours, theirs, images), _outputs(theirs, theirs, images))
    except (VitrailError, RuntimeError) as error:  # tensors are compared even where no model can be built of them
        reason = str(error).splitlines()[0]
    both = sorted(here.keys() & there.keys())
    return Comparison(
        ours.path,
        theirs.path,
        len(both),
        tuple(sorted(there.keys() - here.keys())),
        tuple(sorted(here.keys() - there.keys())),
        tuple(name for name in both if not _identical(here[name], there[name])),
        difference,
        reason,
    )


def _images(weights: WeightsFile, image: str | Path | None) -> Tensor:
    p = weights.preprocessing
    if image is None:
        return torch.randn(1, p.channels, *p.image_size, generator=torch.Generator().manual_seed(0))
    pixels = eval_transform(p)(open_image(image, p.channels)).float() / 255
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (p.mean, p.std))
    return ((pixels - mean) / std).unsqueeze(0)


@torch.inference_mode()
def _outputs(weights: WeightsFile, model_of: WeightsFile, images: Tensor) -> Tensor:
    """Return what a file's weights make of images inside the model that the source belongs to."""
    spec = model_of.spec
    with preserved():
        model: Any = build(spec)
    load_weights(model, weights)
    return _compute(model.eval(), images, spec.head == "mae")


def _compute(model: Any, images: Tensor, reconstructs: bool) -> Tensor:
    encoder: nn.Module | None = getattr(model, "encoder", None)
    if encoder is None:
        return model(images)
    features = encoder.forward_features(images)  # type: ignore[operator]
    if not reconstructs:
        return features
    height, width = model.grid(images)
    mask = torch.arange(height * width).remainder(4).ne(0).unsqueeze(0)
    return torch.cat([features.flatten(), model(images, mask=mask).predicted.flatten()])


def _relative(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1e-30))


def _identical(here: Tensor, there: Tensor) -> bool:
    if here.shape != there.shape or here.dtype != there.dtype:
        return False
    return torch.equal(here.contiguous().view(torch.uint8), there.contiguous().view(torch.uint8))


def _listed(names: tuple[str, ...]) -> str:
    return f"{len(names)}: {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}"
