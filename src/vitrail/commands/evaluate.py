"""``vitrail evaluate``: how good a trained model is on labelled images, and how well that is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from vitrail.config import make, to_json
from vitrail.output import say
from vitrail.runs.compared import open_opponent
from vitrail.runs.evaluation_folder import write_evaluation
from vitrail.runs.foreign_models import published_precision
from vitrail.runs.measured import choose_split, known_split
from vitrail.runs.next_steps import after_evaluate, say_next
from vitrail.runs.place import check_place
from vitrail.runs.run_folder import output_folder
from vitrail.serialize import dumps
from vitrail.settings import EvaluateSettings
from vitrail.tasks.asked import answer_settings, check_own
from vitrail.tasks.classification.metrics import Evaluation
from vitrail.tasks.find_preprocessing import items_of, settle_preprocessing
from vitrail.tasks.registry import task_to_ask
from vitrail.training import distributed
from vitrail.training.runtime import Runtime
from vitrail.weights.open_any import OpenedModel, open_any


def evaluate(checkpoint: str | Path, data: str | Path, **settings: Any) -> Any:
    """Measure a trained model on labelled images.

    Args:
        checkpoint: a run folder, a checkpoint, or anybody's weights of a known layout.
        data: the images, as for `vitrail.train`.
        **settings: any other option of ``vitrail evaluate CHECKPOINT``; those of one task are refused by another. The
            page is written only where ``out`` names its folder.

    Returns:
        The figures of the checkpoint's kind of task: an `Evaluation` of a classifier, a `DetectionEvaluation`, or a
        `SegmentEvaluation`.

    Raises:
        VitrailError: the checkpoint or the data cannot be used, or their classes differ.
    """
    # What is wrong without the model is said before it is opened.
    make(EvaluateSettings, checkpoint=checkpoint, data=data)
    opened = open_any(checkpoint, accept_license=bool(settings.get("accept_license")))
    task = task_to_ask(str(checkpoint), opened.description)
    asked = answer_settings(EvaluateSettings, task.spec, checkpoint=checkpoint, data=data, **settings)
    out = check_place(asked.out, asked.out, (str(data),)) if asked.out else None
    return _evaluated(asked, opened, out)


@distributed.processes()
def run(settings: EvaluateSettings) -> None:
    """Evaluate, print, and write the page."""
    out = _place(settings)
    opened = open_any(settings.checkpoint, accept_license=settings.accept_license)
    result = _evaluated(settings, opened, out)
    if settings.json:
        if distributed.is_main():
            print(dumps(to_json(result)))
        return
    result.say(settings.all_classes)
    if out is not None:
        say(str(out / "evaluate.html"))
    say_next(after_evaluate(settings, opened.description))


def _place(settings: EvaluateSettings) -> Path | None:
    """Return the folder of the page, which can be written to; None where no page is asked for.

    Raises:
        ConfigError: it cannot be written to.
    """
    if not settings.page:
        return None
    return check_place(settings.out, output_folder(settings.checkpoint, "evaluate"), (settings.data,))


@distributed.processes()
def _evaluated(settings: EvaluateSettings, opened: OpenedModel, out: Path | None) -> Any:
    settings = published_precision(settings, opened)
    description = opened.description
    task = task_to_ask(settings.checkpoint, description)
    check_own(settings, EvaluateSettings, task.spec)
    measured = choose_split(known_split(settings.checkpoint, description, settings.data), settings.split)
    runtime = Runtime.of(settings).prepared()
    opened = settle_preprocessing(opened, settings, items_of(measured.images), runtime.device)
    measured = dataclasses.replace(measured, notes=(*opened.sentences, *measured.notes))
    predictor = task.predictor(opened.model, opened.description, runtime, settings)
    # What cannot be compared is refused before the first model is measured.
    other = getattr(settings, "compare", None)
    opponent = open_opponent(other, measured, settings) if other else None
    found = task.evaluate(measured, predictor, settings)
    if opponent is not None:
        found = task.compare(found, opponent, settings)
    if out is not None and distributed.is_main():
        steps = after_evaluate(settings, description)
        illustrated = task.illustrate(found, measured, predictor, settings)
        write_evaluation(out, settings, measured, found, illustrated, steps)
    return found


__all__ = ["Evaluation", "evaluate", "run"]
