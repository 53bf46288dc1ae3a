"""A trained model in Python: predict, embed, preprocess, attention, explain."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitrail.config import make
from vitrail.data.normalise import Normalise
from vitrail.data.requested import requested_images
from vitrail.data.transforms import eval_transform
from vitrail.errors import ConfigError, DataError
from vitrail.explain.methods import Explanation
from vitrail.explain.rollout import AttentionMaps, attention_maps
from vitrail.models.backbone import backbone_of
from vitrail.settings.inputs import InputOptions
from vitrail.tasks.classification.abstaining import cautious_predictor
from vitrail.tasks.classification.explained import explain_images
from vitrail.tasks.classification.predictor import ClassPredictor
from vitrail.tasks.find_preprocessing import settle_preprocessing
from vitrail.tasks.predictor import Predictor
from vitrail.tasks.registry import task_of
from vitrail.tasks.task import refuse_without_classes
from vitrail.training.runtime import Runtime
from vitrail.weights.description import Description
from vitrail.weights.open_any import open_any

EMBEDDED_AT_ONCE = 32
"""Images in a forward pass."""


def open_model(
    checkpoint: str | Path,
    *,
    device: str = "auto",
    precision: str = "fp32",
    accept_license: bool = False,
    images: Any = (),
    **options: Any,
) -> OpenModel:
    """Open a trained model.

    Args:
        checkpoint: a run folder (of a run, the best checkpoint), a checkpoint, a weights file of any known layout
            (timm, transformers, torchvision, Google, Meta, Microsoft), a folder as transformers or timm save it, or a
            model on the hub, ``hf:OWNER/NAME``.
        device: auto, cpu, cuda, cuda:1 or mps.
        precision: fp32, bf16, fp16, or auto: bf16 where the hardware computes in it.
        accept_license: the licence of what is fetched is accepted, where it asks for that; remembered for later.
        images: some of yours, as `vitrail.predict` takes them: where nothing says how a classifier's images are
            normalised, it is found out from them (a warning tells).
        **options: how images are prepared, where you know it: ``normalization``, ``resize``, ``crop_fraction`` and
            ``interpolation``, as in `vitrail.settings.InputOptions`.

    Raises:
        WeightsError: there is no such file, it is damaged, or it belongs to no model known here.
        ConfigError: there is no such device, it does not compute in this precision, or an option does not fit.
    """
    runtime, asked = Runtime.named(device, precision), make(InputOptions, **options)
    requested = () if isinstance(images, (list, tuple)) and not images else requested_images(images)
    opened = settle_preprocessing(open_any(checkpoint, accept_license=accept_license), asked, requested, runtime.device)
    for note in opened.notes:
        warnings.warn(note, stacklevel=2)
    return OpenModel(opened.model, opened.description, runtime, opened.source)


class OpenModel:
    """A trained model; `open_model` opens one.

    An image, below, is all that `vitrail.predict` takes as one: the name of a file, a PIL image, a uint8 array
    ``(H, W, C)`` or tensor ``(C, H, W)``, bytes, or a file opened in binary mode. It may have any size.

    Attributes:
        model: the module, in evaluation mode.
        description: what its checkpoint says: classes, preprocessing, settings.
        source: what was opened; what is stored of when it can be believed is found by it.
    """

    def __init__(self, model: Any, description: Description, runtime: Runtime, source: str = "") -> None:
        self.model = model.to(runtime.device).eval()
        self.description = description
        self.runtime = runtime
        self.source = source
        self._predictors: dict[Any, Predictor[Any]] = {}

    def predict(
        self, images: Any, *, abstain: bool = False, max_error: float | None = None, coverage: float | None = None
    ) -> Any:
        """Say what is in an image, or in several.

        Args:
            images: one image, or several.
            abstain: let a classifier be unsure, by what is stored of it (``vitrail predict --abstain``).
            max_error: with abstain, share of the answers that may be wrong; by default the stored one.
            coverage: with abstain, how often the sets of classes hold the right one; by default the stored one.

        Returns:
            For one image its result, for a list or tuple of them a list: `ClassProbabilities` of a classifier, with
            ``abstain`` `CautiousProbabilities`; `FoundObjects` of a detector, `PixelClasses` of a segmenter. Each has
            ``to_dict()``.

        Raises:
            ConfigError: the model was pretrained without labels and predicts nothing; it may be unsure and nothing is
                stored of when; or an option has no meaning.
            WeightsError: what is stored is damaged, or belongs to other weights.
            ImageError: an image cannot be read.
        """
        asked = (max_error, coverage) if abstain else ()
        if not abstain and (max_error, coverage) != (None, None):
            raise ConfigError("max_error and coverage are for abstain=True; give that too")
        if asked not in self._predictors:
            self._predictors[asked] = self._predictor(*asked)
        found = self._predictors[asked]([image.open(self._channels) for image in requested_images(images)])
        return found if isinstance(images, list | tuple) else _only(found)

    def _predictor(self, *asked: float | None) -> Predictor[Any]:
        """Return the model as a function of images; with a wanted error and coverage, one that abstains."""
        plain = task_of(self.description).predictor(self.model, self.description, self.runtime)
        if not asked:
            return plain
        if not isinstance(plain, ClassPredictor):
            raise ConfigError("abstain is for classifiers, which name the class of a whole image; leave it out")
        cautious = cautious_predictor(self.source, plain, *asked)
        for note in cautious.notes:
            warnings.warn(note, stacklevel=3)
        return cautious

    def embed(self, images: Any) -> Tensor:
        """Describe images by vectors.

        Args:
            images: one image, or several.

        Returns:
            float32 ``(B, D)`` on the CPU, a row for each image: what the backbone gives a head.

        Raises:
            ImageError: an image cannot be read.
        """
        backbone, rows = backbone_of(self.model), []
        with torch.inference_mode(), self.runtime.autocast():
            for some in self._inputs(images).split(EMBEDDED_AT_ONCE):
                rows.append(backbone.embed(some.to(self.runtime.device)).float().cpu())
        return torch.cat(rows)

    def preprocess(self, image: Any) -> Tensor:
        """Return an image as the model takes it: float32 ``(C, H, W)``, normalised, of the model's input size.

        Raises:
            ImageError: it cannot be read.
        """
        return _only(list(self._inputs(image)))

    def attention(self, image: Any, layer: int = -1) -> AttentionMaps:
        """Map what a ViT attends to in an image.

        Args:
            image: one image.
            layer: whose heads are mapped, from 0, or negative from the end.

        Returns:
            ``rollout`` (1, h, w) through all layers and ``heads`` (1, K, h, w) of one: shares of the attention.

        Raises:
            ConfigError: the model's tokens do not all see each other, or it has no such layer.
            ImageError: the image cannot be read.
        """
        return attention_maps(self.model, self.preprocess(image)[None], layer)

    def explain(
        self, images: Any, label: str = "predicted", *, against: str | None = None, method: str = "leave-one-out"
    ) -> Explanation:
        """Explain why a classifier gives a class.

        Args:
            images: one image, or several.
            label: the class, a name or a number; or ``predicted``, what the model says of each image.
            against: the class it is set against: why the one and not the other.
            method: leave-one-out, shapley, chefer, grad-cam, integrated-gradients, rollout or attention.

        Returns:
            ``values`` (B, h, w), higher where a place speaks more for the class, their ``unit``, and of Shapley values
            their standard ``errors``.

        Raises:
            ConfigError: the model is no classifier, or there is no such class or method, or none for this model.
            ImageError: an image cannot be read.
        """
        if not self.description.is_classifier:
            refuse_without_classes("this model", self.description)
        return explain_images(self.model, self.description.class_names, self._inputs(images), label, against, method)

    @property
    def _channels(self) -> int:
        return self.description.preprocessing.channels

    def _inputs(self, images: Any) -> Tensor:
        """Return images ``(B, C, H, W)`` float32, normalised, on the CPU."""
        preprocessing = self.description.preprocessing
        transform = eval_transform(preprocessing)
        read = [transform(image.open(self._channels)) for image in requested_images(images)]
        return Normalise(preprocessing.mean, preprocessing.std)(torch.stack(read))


def _only(found: list[Any]) -> Any:
    if len(found) != 1:
        raise DataError(f"these are {len(found)} images and not one; give several as a list")
    return found[0]


__all__ = ["OpenModel", "open_model"]
