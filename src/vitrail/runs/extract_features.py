"""Features of images by a model, computed once in any number of views and kept beside the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vitrail.config import Augment, Preprocessing, to_json
from vitrail.data.batches import EvalBatches, Loading
from vitrail.data.features import Features, View, digest_of, identity, kept_features
from vitrail.data.normalise import Normalise
from vitrail.data.samples import Samples
from vitrail.data.sources import Images
from vitrail.data.transforms import eval_transform, train_transform
from vitrail.training import distributed
from vitrail.training.checkpoint import is_checkpoint, resolve
from vitrail.training.measure import to_device
from vitrail.training.runtime import Runtime
from vitrail.weights.named import find_model, is_on_hub


@dataclass(frozen=True)
class Extraction:
    """What is computed of each image, and by what.

    Attributes:
        what: a name for it; with the images' own name it says which features take the place of older ones.
        model: what computes; it is put into evaluation mode meanwhile.
        weights: all of the model that decides what features are, by name.
        extract: normalised images ``(B, C, H, W)`` to features ``(B, ...)``.
        preprocessing: how an image becomes the input.
        folder: where features are kept.
        runtime: where and in what precision it is computed; features are float32 in any case.
        batch_size: images in a forward pass.
        workers: processes that load images.
    """

    what: str
    model: nn.Module
    weights: Mapping[str, Tensor]
    extract: Callable[[Tensor], Tensor]
    preprocessing: Preprocessing
    folder: Path
    runtime: Runtime
    batch_size: int = 128
    workers: int = -1

    def features(
        self, images: Images, data: str, augment: Augment | None = None, views: int = 1, seed: int = 0
    ) -> Features:
        """Return the features of images as an evaluation sees them, or of the first views that training would show.

        Args:
            images: what to look at.
            data: what the images are called, with their split.
            augment: how training changes them; None: not at all.
            views: how many epochs of training are kept.
            seed: of the training.

        Raises:
            DataError: no image can be read, or nothing can be written.
        """
        fit = eval_transform(self.preprocessing) if augment is None else train_transform(augment, self.preprocessing)
        samples = Samples(images, fit, seed, self.preprocessing.channels, cache="off")
        about = {
            "what": self.what,
            "data": data,
            "images": identity(images),
            "weights": digest_of(self.weights),
            "preprocessing": to_json(self.preprocessing),
            "augment": to_json(augment),
            "seed": seed if augment is not None else None,
            "precision": self.runtime.precision.name,
        }
        # One process computes and writes; the others wait, and read what it wrote.
        if distributed.is_main():
            kept_features(self.folder, about, views, lambda view: self._compute(View(samples, view)))
        distributed.barrier()
        return kept_features(self.folder, about, views, lambda view: self._compute(View(samples, view)))

    @torch.no_grad()
    def _compute(self, samples: Any) -> Iterator[tuple[Tensor, Tensor]]:
        """Give the numbers and features of images, batch by batch; dropout does not act, and is put back."""
        normalise = Normalise(self.preprocessing.mean, self.preprocessing.std).to(self.runtime.device)
        modes = {module: module.training for module in self.model.modules()}
        self.model.to(self.runtime.device).eval()
        for batch in EvalBatches(samples, self.batch_size, Loading(self.workers)):
            with self.runtime.autocast():
                images = normalise(to_device({"image": batch["image"]}, self.runtime.device)["image"])
                yield batch["index"], self.extract(images).float()
        for module, training in modes.items():
            module.training = training


def features_folder(weights: str | None, otherwise: Path) -> Path:
    """Return where features are kept: beside the run that the weights are of, for all that start from it."""
    if weights is not None and not is_on_hub(weights) and is_checkpoint(path := find_model(weights).path):
        checkpoint = resolve(path)
        run = checkpoint.parents[1] if checkpoint.parent.name == "checkpoints" else checkpoint
        return run / "features"
    return otherwise / "features"
