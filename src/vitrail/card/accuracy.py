"""How often a classifier is right, where it is worst, and whether its probabilities can be believed."""

from __future__ import annotations

from collections.abc import Sequence

from vitrail.card.sections import DATA, MODEL, CardTable, Section, share_with_interval
from vitrail.tasks.classification.evaluation.temperature import EvaluatedCalibration
from vitrail.tasks.classification.evaluation.words import FEW, by_recall
from vitrail.tasks.classification.metrics import Evaluation
from vitrail.trust.per_class import ClassFigures

WORST = 5
"""Classes that the card lists."""

NAMES = {
    "top1": "right (top-1)",
    "top5": "right class among the best five",
    "mean_class": "mean over the classes",
    "f1": "F1, mean over the classes",
}


def accuracy_section(found: Evaluation, command: str) -> Section:
    """Return the section of a classifier's accuracy, with 95 % intervals."""
    facts = [
        (words, share_with_interval(found.estimates[name])) for name, words in NAMES.items() if name in found.estimates
    ]
    facts.append(("images", f"{found.images:,} ({found.split})"))
    if found.damaged:
        facts.append(("left out as unreadable", _images(len(found.damaged))))
    sentences = (
        "In brackets stand 95 % intervals: Wilson's of shares of images, by bootstrap of means over classes.",
        *found.notes,
    )
    values = {
        "estimates": {name: vars(one) for name, one in found.estimates.items()},
        "images": found.images,
        "split": found.split,
    }
    return Section("accuracy", "Accuracy", tuple(facts), sentences, values=values, command=command)


def worst_classes_section(found: Evaluation, command: str) -> Section:
    """Return the section of the classes that are named right least often; those without images are counted.

    The worst class is one of at least `FEW` images: of a thousand classes with an image each many are always wrong.
    """
    ranked = [(rank, one) for one in found.per_class if (rank := by_recall(one)) is not None]
    there = [one for _, one in sorted(ranked, key=lambda pair: (*pair[0], pair[1].name))]
    missing = len(found.per_class) - len(there)
    worst = next((one for one in there if one.images >= FEW), None)
    facts = [("worst class", f"not known: none has {FEW} images or more")]
    if worst is not None:
        facts = [(f"worst class: {worst.name}", f"{share_with_interval(worst.recall)} of {_images(worst.images)}")]
    few = sum(one.images < FEW for one in there)
    if few and worst is not None:
        facts.append((f"classes of fewer than {FEW} images", f"{few:,} of {len(there):,}: little is known of each"))
    if missing:
        facts.append(("classes without an image here", f"{missing:,} of {len(found.per_class):,}: nothing is known"))
    rows = tuple(
        (one.name, one.images, share_with_interval(one.recall), share_with_interval(one.precision))
        for one in there[:WORST]
    )
    title = (
        f"The {len(rows)} worst of {len(there):,} classes" if len(there) > len(rows) else "All classes, the worst first"
    )
    table = CardTable(title, ("class", "images", "right", "right where it is named"), rows)
    sentences = _confusions(found)
    values = {"classes": [_class_values(one) for one in there], "without_images": missing}
    return Section("classes", "Where it is worst", tuple(facts), sentences, (table,), values, command)


def calibration_section(found: EvaluatedCalibration, command: str) -> Section:
    """Return the section of how well probabilities agree with how often the model is right."""
    before, after = found.before, found.after
    facts = [("expected calibration error", _both(before.ece, after and after.ece, 100, " points"))]
    facts += [
        ("mean confidence, and accuracy", f"{100 * before.confidence:.1f} % and {100 * before.accuracy:.1f} %"),
        ("negative log-likelihood", _both(before.nll, after and after.nll, 1, " nats", 3)),
        ("Brier score", _both(before.brier, after and after.brier, 1, "", 3)),
    ]
    if found.temperature is not None:
        facts.append(("temperature", f"{found.temperature:.3f}"))
    sure = before.confidence - before.accuracy
    word = "surer than it is right" if sure > 0 else "less sure than it is right"
    sentences = (
        f"As it is, the model is on average {abs(100 * sure):.1f} points {word}. In brackets stands what is left where "
        "scores are divided by the temperature.",
        found.fitted_on,
    )
    values = {"temperature": found.temperature, "before": _plain(before), "after": _plain(after) if after else None}
    return Section(
        "calibration",
        "Whether its probabilities can be believed",
        tuple(facts),
        sentences,
        values=values,
        command=command,
    )


def headlines(sections: Sequence[Section]) -> tuple[tuple[str, str], ...]:
    """Return what the top of the card says of these sections."""
    named = {one.name: one for one in sections if one.is_measured}
    found: list[tuple[str, str]] = []
    if "accuracy" in named:
        value, _, interval = named["accuracy"].facts[0][1].partition(" (")
        found.append((f"right ({interval.rstrip(')')})" if interval else "right", value))
    if "classes" in named:
        name, value = named["classes"].facts[0]
        found += [(name, value.partition(" (")[0])] if " (" in value else []
    if "calibration" in named:
        found.append(("calibration error", named["calibration"].facts[0][1].partition(" (")[0]))
    if "abstention" in named and " (" in named["abstention"].facts[0][1]:
        name, value = named["abstention"].facts[0]
        found.append((name, value.partition(" (")[0]))
    return tuple(found)


def evaluate_command(options: Sequence[str]) -> str:
    """Return the command of these sections."""
    return " ".join(("vitrail evaluate", MODEL, DATA, *options))


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _confusions(found: Evaluation) -> tuple[str, ...]:
    said = [f"{one.label} called {one.said} ({one.images:,})" for one in found.confusions[:3]]
    return (f"The most frequent mistakes: {', '.join(said)}.",) if said else ()


def _class_values(one: ClassFigures) -> dict[str, object]:
    estimates = {name: vars(getattr(one, name)) for name in ("recall", "precision", "f1", "auroc")}
    return {"name": one.name, "images": one.images, **estimates}


def _both(before: float, after: float | None, factor: float, unit: str, digits: int = 1) -> str:
    said = f"{factor * before:.{digits}f}{unit}"
    return said if after is None else f"{said} (scaled: {factor * after:.{digits}f})"


def _plain(figures: object) -> dict[str, object]:
    return {name: value for name, value in vars(figures).items() if name != "bins"} | {"bins": vars(figures.bins)}  # type: ignore[attr-defined]


__all__ = ["accuracy_section", "calibration_section", "evaluate_command", "headlines", "worst_classes_section"]
