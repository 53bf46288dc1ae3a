"""The parts of a trust card that are measured, each by the command that it belongs to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitrail.card.abstention import NAME as ABSTENTION_NAME
from vitrail.card.abstention import TITLE as ABSTENTION_TITLE
from vitrail.card.abstention import abstention_section
from vitrail.card.accuracy import accuracy_section, calibration_section, evaluate_command, worst_classes_section
from vitrail.card.data_doubts import NAME as AUDIT_NAME
from vitrail.card.data_doubts import TITLE as AUDIT_TITLE
from vitrail.card.data_doubts import audit_section
from vitrail.card.explanations import explanations_section
from vitrail.card.kept import Part
from vitrail.card.robustness import robustness_section, stress_command
from vitrail.card.sections import DATA, MODEL, Section, not_measured
from vitrail.commands.doctor import doctor
from vitrail.commands.evaluate import evaluate
from vitrail.commands.stress import stress_test
from vitrail.commands.trust_subject import Subject
from vitrail.config import from_json, to_json
from vitrail.console import quoted
from vitrail.output import Progress
from vitrail.runs.run_folder import output_folder
from vitrail.runs.shown import spread
from vitrail.serialize import read_regular
from vitrail.settings import StressSettings
from vitrail.settings.trust import EXPLAINED
from vitrail.stress.charts import draw_panels
from vitrail.stress.chosen import choose_images
from vitrail.stress.figures import ModelFigures
from vitrail.stress.model import digest_of
from vitrail.stress.page import CAPTIONS
from vitrail.stress.panels import PANELS
from vitrail.tasks.classification.evaluation.answers import Answers
from vitrail.tasks.classification.evaluation.known import known_reliability
from vitrail.tasks.classification.faithful import faithfulness_of, methods_for
from vitrail.tasks.classification.settings import ClassifyEvaluateSettings
from vitrail.trust.reliability import MAX_ERROR
from vitrail.weights.named import is_on_hub
from vitrail.weights.paths import path_of

AUDIT = (AUDIT_NAME, AUDIT_TITLE)
ABSTENTION = (ABSTENTION_NAME, ABSTENTION_TITLE)

PASSES_OF_STRESS = 100
"""Forward passes that a short study takes for each image, about."""
PASSES_OF_EXPLANATION = 600
"""Forward passes that two explanations and their tests take for each image of 14 x 14 patches, about."""


# --- accuracy, classes, calibration ------------------------------------------------------------------------


def measure_accuracy(subject: Subject) -> Part:
    """Evaluate, and say what that tells of accuracy, classes and calibration."""
    found = evaluate(subject.settings.model, subject.settings.data, **subject.options())
    again = evaluate_command(subject.words())
    sections = [accuracy_section(found, again), worst_classes_section(found, again)]
    if found.calibration is not None:
        sections.append(calibration_section(found.calibration, again))
    else:
        sections.append(not_measured("calibration", "Whether its probabilities can be believed", again))
    sections.append(measure_abstention(subject, found.answers))
    return Part(tuple(sections))


def measure_abstention(subject: Subject, answers: Answers) -> Section:
    """Say what abstaining does to the measured images, by what is stored with the model, else by validation images.

    Args:
        subject: the model and the images.
        answers: to those that are measured.
    """
    again = " ".join(("vitrail trust", MODEL, DATA, *subject.words()))
    if answers.logits is None:
        return not_measured(*ABSTENTION, again, "There are too many scores to be kept.")
    asked = ClassifyEvaluateSettings(checkpoint=subject.settings.model, data=subject.settings.data)
    known = known_reliability(subject.measured, subject.predictor, asked)
    if known.stored is None or not known.apart:
        why = (
            "It is learned from labelled images that neither the model learned from nor are measured here, and there "
            "are none beside these; name some in the place of OTHER_IMAGES."
        )
        return not_measured(*ABSTENTION, f"vitrail evaluate {MODEL} OTHER_IMAGES --max-error {MAX_ERROR:g}", why)
    stored, source = known.stored, known.stored.source
    whose = f"{source.images:,} {source.split} images of {Path(source.data).name}"
    said = f"Learned from {whose}, none of them measured here."
    wanted = (stored.max_error, stored.coverage)
    return abstention_section(stored.reliability, wanted, answers.logits, answers.labels, said, again)


# --- stress ------------------------------------------------------------------------------------------------


def measure_stress(subject: Subject) -> Part:
    """Take the curves that ``vitrail stress`` has measured of these weights on these images, else measure a few."""
    settings = subject.settings
    folder = output_folder(settings.model, "stress")
    study = studied(subject, folder / "stress.json")
    if study is not None:
        return _stressed(study, stress_command(_asked(study)), folder / "stress.html")
    if "stress" in settings.skip:
        return Part((not_measured("stress", "Under stress", stress_command(subject.words())),))
    folder = subject.out / "stress"
    measured = stress_test(settings.model, settings.data, out=str(folder), quick=True, **subject.options())
    return _stressed(to_json(measured), stress_command(["--quick", *subject.words()]), folder / "stress.html")


def studied(subject: Subject, file: Path) -> dict[str, Any] | None:
    """Return the study in a file with the model of these weights alone; None where it is of other weights or images."""
    try:
        study = json.loads(read_regular(file))
        digest = digest_of(subject.opened.model, repr(subject.opened.description.preprocessing))
        models = [one for one in study["models"] if one["digest"] == digest and one["curves"]]
        count, own = study["settings"]["images"], study["images_digest"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    preprocessing = subject.opened.description.preprocessing
    if not models or choose_images(subject.measured.images, preprocessing, count, subject.known.data).digest != own:
        return None
    return {**study, "models": models}


def _asked(study: dict[str, Any]) -> list[str]:
    """Return the words of the command line that a study was asked for by."""
    default, asked = to_json(StressSettings()), study["settings"]
    words = ["--quick"] if asked["quick"] else []
    for name in (
        "split",
        "device",
        "precision",
        "saliency",
        "saliency_encoder",
        "normalization",
        "resize",
        "crop_fraction",
        "interpolation",
    ):
        if asked[name] != default[name]:
            words += [f"--{name.replace('_', '-')}", str(asked[name])]
    if asked["curves"] != default["curves"]:
        words += ["--curves", *asked["curves"]]
    return words


def _stressed(study: dict[str, Any], again: str, page: Path) -> Part:
    model = from_json(ModelFigures, study["models"][0])
    figures = []
    for group, panels in PANELS.items():
        drawn = draw_panels(panels, [model])
        if drawn is not None:
            figures.append((CAPTIONS[group], drawn))
    return Part((robustness_section(study, again, str(page)),), {"stress": figures})


# --- explanations ------------------------------------------------------------------------------------------


def measure_explanations(subject: Subject) -> Part:
    """Test the explanations of a few of the images by deletion and insertion."""
    settings, description = subject.settings, subject.opened.description
    explained = ["--explained", str(settings.explained)] if settings.explained != EXPLAINED else []
    again = " ".join(("vitrail trust", MODEL, DATA, *subject.words(), *explained))
    if "explanations" in settings.skip:
        return Part((not_measured("explanations", "Whether its explanations are true", again),))
    images = spread(subject.measured.images, settings.explained)
    progress = Progress("images explained", at_once=True)
    model = subject.opened.model.to(subject.runtime.device)
    found = faithfulness_of(
        model, description, images, methods_for(model), lambda done: progress.reached(done, len(images))
    )
    where = f"Tested on {len(images):,} images, evenly spread over those measured, for the class the model names."
    return Part((explanations_section(found, again, where),))


# --- the data ----------------------------------------------------------------------------------------------


def measure_audit(subject: Subject) -> Part:
    """Audit the whole data set by an encoder's vectors."""
    settings = subject.settings
    encoder, said = encoder_of(subject)
    out = subject.out / "audit"
    again = " ".join(
        ("vitrail doctor", DATA, "--deep", "--encoder", MODEL if encoder == settings.model else quoted(encoder))
    )
    if "audit" in settings.skip:
        return Part((not_measured(*AUDIT, again),))
    found = doctor(settings.data, deep=True, encoder=encoder, out=str(out), device=settings.device)["audit"]
    return Part((audit_section(to_json(found.summary()), said, again, str(out / "doctor.html")),))


def encoder_of(subject: Subject) -> tuple[str, str]:
    """Return the encoder that the data are audited with, and a sentence about it.

    A model hides from itself the label errors that it has learnt by heart; the weights that its run began with have
    not seen the labels.
    """
    asked, before = subject.settings.encoder, subject.opened.description.settings.get("weights")
    if asked is not None:
        return asked, f"Looked for with the vectors of {asked}."
    if before and not is_on_hub(before) and path_of(before).exists():
        name = Path(str(before)).name
        return str(before), f"Looked for with the vectors of {name}, which the run began with."
    return subject.settings.model, "Looked for with the vectors of the model itself."


@dataclass(frozen=True)
class Measurer:
    """A part of a card.

    Attributes:
        name: of the file in which it is kept.
        measure: measures it.
        cost: about how many forward passes that takes.
        keeps_itself: the command that measures it keeps what it measured.
    """

    name: str
    measure: Callable[[Subject], Part]
    cost: Callable[[Subject], int]
    keeps_itself: bool = False

    def passes(self, subject: Subject) -> int:
        """Return about how many forward passes it takes; none where it is left out."""
        return 0 if self.name in subject.settings.skip else self.cost(subject)


PARTS = (
    Measurer("accuracy", measure_accuracy, lambda subject: len(subject.measured.images)),
    Measurer("stress", measure_stress, lambda subject: 60 * PASSES_OF_STRESS, keeps_itself=True),
    Measurer(
        "explanations",
        measure_explanations,
        lambda subject: PASSES_OF_EXPLANATION * subject.settings.explained,
    ),
    Measurer(
        "audit",
        measure_audit,
        lambda subject: 2 * subject.hashes[1].images,  # whole images, and their frames
    ),
)
"""In the order of the page."""

__all__ = ["PARTS", "Measurer"]
