"""Classification, as a task."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vitrail.config import Preprocessing, replace, to_json
from vitrail.console import percent
from vitrail.data.item import Item
from vitrail.data.requested import opened
from vitrail.data.sources import Images, Source, open_source
from vitrail.errors import DataError, ImageError
from vitrail.heads.partial_fine_tuning import PartialFineTuning
from vitrail.heads.spec import ModelSpec
from vitrail.output import say_table
from vitrail.settings import LookSettings
from vitrail.tasks.attention import attention_options
from vitrail.tasks.classification.abstaining import CautiousProbabilities, cautious_predictor
from vitrail.tasks.classification.counterfactuals import check_regions, draw_counterfactuals
from vitrail.tasks.classification.evaluation.compare import compare
from vitrail.tasks.classification.evaluation.measure import measure_classifier
from vitrail.tasks.classification.evaluation.page import illustrate
from vitrail.tasks.classification.explained import check_explanation, draw_explained
from vitrail.tasks.classification.figures import answer_figures
from vitrail.tasks.classification.fitted import FittedClassification
from vitrail.tasks.classification.loss import Classification
from vitrail.tasks.classification.match_classes import match_classes
from vitrail.tasks.classification.metrics import Evaluation
from vitrail.tasks.classification.predictions import (
    CautiousPrediction,
    Prediction,
    cautious_table,
    write_csv,
    write_predictions,
)
from vitrail.tasks.classification.predictor import BATCH_SIZE, ClassPredictor, ClassProbabilities
from vitrail.tasks.classification.settings import ClassifyEvaluateSettings, ClassifyPredictSettings, ClassifySettings
from vitrail.tasks.classification.shortcuts import draw_all_shortcuts
from vitrail.tasks.classification.spec import CLASSIFY
from vitrail.tasks.classification.tuning import TunedBlocks
from vitrail.tasks.illustrated import Illustrated
from vitrail.tasks.inputs import image_samples, inputs_of
from vitrail.tasks.inside import draw_all_inside, inspected
from vitrail.tasks.supervised import Supervised
from vitrail.tasks.task import Learning, Measured, Opponent, RunContext, refuse_without_classes
from vitrail.training.runtime import Runtime
from vitrail.visualize.figure import Figure
from vitrail.weights.description import Description
from vitrail.weights.load import load_weights
from vitrail.weights.open_any import OpenedModel
from vitrail.weights.weights_file import WeightsFile


class ClassificationTask(Supervised):
    """Naming the class of a whole image."""

    spec = CLASSIFY

    def open(self, settings: ClassifySettings) -> Source:
        """Open labelled images; ``--labels`` chooses among them once some are held out (`vitrail.runs.split`)."""
        source = open_source(settings.data, seed=settings.run.seed, validation_share=settings.validation_share)
        if len(source.class_names) < 2:
            raise DataError(f"{settings.data} has {len(source.class_names)} classes; a classifier needs two or more")
        return source

    def reopen(self, description: Description, data: str) -> Source:
        """Open images with the classifier's classes; those for an encoder need none."""
        labels = description.is_classifier
        names = description.class_names
        source = open_source(data, validation_share=0.0, labels=labels, for_evaluation=True, known_classes=names)
        return relabelled(source, names, data) if labels else source

    def describe(
        self, settings: ClassifySettings, backbone: ModelSpec, preprocessing: Preprocessing, source: Source
    ) -> Description:
        """Describe the model with a head for the data's classes."""
        asked = settings.architecture
        shape = {"representation": asked.representation, "head_init": asked.head_init}
        head = {name: value for name, value in shape.items() if value is not None}
        head["num_classes"] = len(source.class_names)
        model = replace(backbone, head="classifier", head_options=head)
        return Description(model, preprocessing, source.class_names, to_json(settings))

    def load(self, model: Any, weights: WeightsFile) -> str:
        """Load weights; other channels are asked for by saying so, and classes are those of the data."""
        return str(load_weights(model, weights, adapt=("classes", "channels")))

    def prepare(self, model: Any, run: RunContext) -> Learning:
        """Return cross-entropy with smoothed and, if asked, mixed labels; of all blocks or of the last ones."""
        settings, preprocessing = run.settings, run.description.preprocessing
        return Learning(
            _loss(model, settings, preprocessing),
            lambda images, training: image_samples(images, training, settings, preprocessing),
            balanced=settings.loader.balanced,
        )

    def check_answers(self, checkpoint: str, description: Description) -> None:
        """Refuse an encoder without classes."""
        _check_classifier(checkpoint, description)

    def predictor(
        self,
        model: Any,
        description: Description,
        runtime: Runtime,
        settings: ClassifyEvaluateSettings | ClassifyPredictSettings | None = None,
    ) -> ClassPredictor:
        """Return the model as a function of images."""
        _check_classifier("this model", description)
        batch_size = settings.batch_size if settings else BATCH_SIZE
        plain = ClassPredictor(model, description, runtime, batch_size)
        if not isinstance(settings, ClassifyPredictSettings) or not settings.abstain:
            return plain
        return cautious_predictor(settings.checkpoint, plain, settings.max_error, settings.coverage)

    def evaluate(self, measured: Measured, predictor: Any, settings: ClassifyEvaluateSettings) -> Evaluation:
        """Score every image, over all processes, and say what that tells."""
        return measure_classifier(measured, predictor, settings)

    def illustrate(
        self, found: Any, measured: Measured, predictor: Any, settings: ClassifyEvaluateSettings
    ) -> Illustrated:
        """Draw confusions, errors and reliability, and list classes and answers."""
        return illustrate(found, measured.images, settings.all_classes)

    def compare(self, found: Any, opponent: Opponent, settings: ClassifyEvaluateSettings) -> Evaluation:
        """Return the evaluation with another classifier beside, on the images that neither learned from."""
        return compare(found, opponent, settings)

    def predict(
        self, images: Sequence[Item], predictor: Any, settings: ClassifyPredictSettings, out: Path
    ) -> Iterator[Prediction]:
        """Name the best classes of each image, in the order of the request; damaged ones say why."""
        channels = predictor.description.preprocessing.channels
        kept: list[Prediction] = []
        for start in range(0, len(images), settings.batch_size):
            batch = images[start : start + settings.batch_size]
            read, errors = opened(batch, channels)
            answers = iter(predictor(read))
            for image, error in zip(batch, errors, strict=True):
                answer = _prediction(image, None if error else next(answers), error, settings)
                kept += [answer] if settings.out else []
                yield answer
        if settings.out:
            write_predictions(kept, settings)

    def print_table(self, settings: ClassifyPredictSettings, predictions: Iterable[Prediction], out: Path) -> None:
        """Print a table, or rows of CSV as they come."""
        if settings.format == "csv":
            write_csv(sys.stdout, predictions, settings.top, settings.abstain)
            return
        if settings.abstain:
            say_table("", *cautious_table(predictions, settings.top))
            return
        rows = [(p.file, *_shown(p, settings.top)) for p in predictions]
        width = max(len(row) for row in rows)
        columns = ("image", *(f"{n}." for n in range(1, width)))
        say_table("", columns, [(*row, *[""] * (width - len(row))) for row in rows])

    def draw(
        self, model: Any, description: Description, images: Images, settings: LookSettings | None = None
    ) -> dict[str, Figure]:
        """Draw where the model looks, and what it answers."""
        return answer_figures(model, inputs_of(images, description), description, settings)

    def figures(
        self,
        model: Any,
        description: Description,
        images: Images,
        settings: LookSettings,
        others: Sequence[OpenedModel] = (),
    ) -> dict[str, Figure]:
        """Draw where the model looks and what it answers, why, what changes its mind, and what is inside it."""
        inputs = inputs_of(images, description)
        figures = answer_figures(model, inputs, description, settings)
        one = inspected(settings.checkpoint, model, description, images, inputs)
        figures |= draw_explained(one, description.class_names, settings)
        figures |= draw_counterfactuals(one, description.class_names, settings)
        return figures | draw_all_inside(one, images, settings, others)

    def look_options(self, model: Any) -> tuple[str, tuple[str, ...]]:
        """Return those of the backbone's attention, and of what a class hangs on."""
        what, options = attention_options(model)
        return what, (*options, "explain", "counterfactual", "shortcuts")

    def check_look(self, model: Any, description: Description, settings: LookSettings) -> None:
        """Refuse to explain a class of an encoder without any, or one that it does not know, or a region."""
        super().check_look(model, description, settings)
        if settings.explain is not None or settings.counterfactual or settings.shortcuts:
            _check_classifier(settings.checkpoint, description)
            check_explanation(description.class_names, settings)
            check_regions(settings)

    def search(self, model: Any, description: Description, pool: Images, settings: LookSettings) -> dict[str, Figure]:
        """Search for the regions that classes hang on."""
        return draw_all_shortcuts(model, description, pool, settings)


def relabelled(source: Source, class_names: tuple[str, ...], data: str) -> Source:
    """Number the labels of all splits as a model does, which may know more classes or know them in another order.

    Raises:
        DataError: the images have a class that the model was not trained on.
    """
    numbers, how = match_classes(source.class_names, class_names, data)
    parts = {
        split: dataclasses.replace(part, labels=tuple(numbers[label] for label in part.labels or ()))
        for split in ("train", "validation", "test")
        if (part := getattr(source, split)) is not None
    }
    return dataclasses.replace(source, class_names=class_names, matched=how, **parts)


def _loss(model: Any, settings: ClassifySettings, preprocessing: Preprocessing) -> Classification:
    if settings.fit_head:
        return FittedClassification(model, preprocessing)
    if settings.tune_blocks is not None:
        cut = PartialFineTuning(model, settings.tune_blocks, preprocessing.image_size)
        return TunedBlocks(cut, preprocessing, settings.smoothing, settings.augment)
    return Classification(model, preprocessing, settings.smoothing, settings.augment)


def _check_classifier(checkpoint: str, description: Description) -> None:
    if not description.is_classifier:
        refuse_without_classes(checkpoint, description)


def _prediction(
    image: Item, found: ClassProbabilities | None, error: ImageError | None, settings: ClassifyPredictSettings
) -> Prediction:
    """Put what is said of an image, or why nothing is, beside its name."""
    classes = found.top(settings.top) if found else ()
    reason = error.reason if error else None
    if not settings.abstain:
        return Prediction(image.name, classes, reason)
    beyond = found.beyond() if isinstance(found, CautiousProbabilities) else {}
    return CautiousPrediction(image.name, classes, reason, **beyond)


def _shown(prediction: Prediction, top: int) -> list[str]:
    if prediction.error:
        return [f"not read: {prediction.error}", *[""] * (top - 1)]
    return [f"{name} {percent(share)}" for name, share in prediction.classes]
