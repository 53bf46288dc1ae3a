"""What tasks that look for things inside an image share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from vitrail.config import Preprocessing, to_json
from vitrail.data.item import Item
from vitrail.data.requested import files_of
from vitrail.data.sources import Source
from vitrail.errors import ImageError
from vitrail.heads.registry import with_dense_head
from vitrail.heads.spec import ModelSpec
from vitrail.settings import PredictSettings
from vitrail.tasks.backbone_weights import load_backbone
from vitrail.tasks.drawn_names import make_folder, own_names, unused_name
from vitrail.tasks.predictor import Predictor
from vitrail.tasks.supervised import Supervised
from vitrail.weights.description import Description
from vitrail.weights.weights_file import WeightsFile


class DenseTask(Supervised):
    """A task whose models are a backbone under a head for every place, and draw what they find."""

    def describe(self, settings: Any, backbone: ModelSpec, preprocessing: Preprocessing, source: Source) -> Description:
        """Describe backbone, head and classes."""
        model = with_dense_head(backbone, settings.task, settings.dense, len(source.class_names))
        return Description(model, preprocessing, source.class_names, to_json(settings))

    def load(self, model: Any, weights: WeightsFile) -> str:
        """Load the backbone's weights, and of another model of the task those of its head that fit."""
        return load_backbone(model, weights)

    def predict(
        self, images: Sequence[Item], predictor: Predictor[Any], settings: PredictSettings, out: Path
    ) -> Iterator[Any]:
        """Look at image after image, and leave what is drawn of each under a name of its own."""
        make_folder(out)
        used = own_names(files_of(images), out)
        kept: list[Any] = []
        for image in images:
            try:
                opened = image.open(predictor.description.preprocessing.channels)
            except ImageError as error:
                yield self.unread(image.name, error.reason)
                continue
            (found,) = predictor([opened])
            place = out / unused_name(image.stem, used)
            kept.append(self.keep(image.name, opened, found, predictor.description, place, settings))
            yield kept[-1]
        self.keep_all(kept, predictor.description, out)

    @abstractmethod
    def unread(self, name: str, reason: str) -> Any:
        """Return the prediction of an image that cannot be read."""

    @abstractmethod
    def keep(
        self, name: str, image: Image.Image, found: Any, description: Description, place: Path, settings: Any
    ) -> Any:
        """Write what is found in an image beside ``place``, a file name without ending, and return the prediction."""

    def keep_all(self, predictions: list[Any], description: Description, out: Path) -> None:
        """Write what is known once all images were looked at: nothing, as a rule."""
