"""What the page of a classifier's evaluation shows: figures, tables, and the answer to every image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image, ImageOps

from vitrail.console import percent
from vitrail.data.sources import Images
from vitrail.errors import ImageError
from vitrail.tasks.class_tables import reach, worst_and_best
from vitrail.tasks.classification.evaluation.answer_table import predictions_csv
from vitrail.tasks.classification.evaluation.found import Comparison
from vitrail.tasks.classification.evaluation.tables import tables_of
from vitrail.tasks.classification.evaluation.words import RANKED, about_calibration, by_recall, sentences, span
from vitrail.tasks.classification.metrics import Evaluation
from vitrail.tasks.illustrated import Illustrated
from vitrail.tasks.left_out import left_out
from vitrail.trust.calibration import CalibrationFigures
from vitrail.trust.intervals import Estimate, share_estimate
from vitrail.trust.quantiles import Part
from vitrail.visualize.confusion import MOST, chosen_classes, draw_confusion
from vitrail.visualize.draw import contact_sheet
from vitrail.visualize.estimates import Reliability, draw_parts, draw_reliability, draw_rows
from vitrail.visualize.figure import Figure

COLUMNS, SIDE = 4, 224
"""Images in a row of a sheet, and their longer sides in pixels."""

MOST_COMPARED = 8
"""Images that are drawn of those that only one model gets right."""

ABOUT_ERRORS = "Images called something else than they are labelled, the surest first. Some may be labelled wrong."


def illustrate(found: Evaluation, images: Images, all_classes: bool) -> Illustrated:
    """Draw and list what an evaluation found.

    Args:
        found: the evaluation, with its answers.
        images: the data set it is of.
        all_classes: list every class, and of many not only the worst and the best.
    """
    names = tuple(one.name for one in found.per_class)
    assert found.answers is not None
    return Illustrated(
        facts=tuple(_facts(found)),
        figures=dict(_figures(found, images, names)),
        tables=tuple(tables_of(found, all_classes)),
        notes=(*left_out(found.damaged, found.images + len(found.damaged)), *found.notes, *sentences(found)),
        files={"predictions.csv": predictions_csv(found.answers, images, names)},
    )


def _facts(found: Evaluation) -> Iterator[tuple[str, str]]:
    for name, title in (("top1", "accuracy"), ("top5", "among the best five"), ("mean_class", "mean over the classes")):
        one = found.estimates.get(name)
        if one is not None:
            yield f"{title}{f', 95 %: {reach(one)}' if reach(one) else ''}", percent(one.value)
    if found.calibration is not None:
        yield "calibration error", percent(found.calibration.before.ece)
        if found.calibration.after is not None:
            yield f"with temperature {found.calibration.temperature:.3g}", percent(found.calibration.after.ece)
    ranked = [(rank, one) for one in found.per_class if (rank := by_recall(one)) is not None]
    if ranked:
        _, worst = min(ranked, key=lambda pair: pair[0])
        yield f"worst class, 95 %: {reach(worst.recall)}", f"{worst.name} {percent(worst.recall.value)}"


# --- figures -----------------------------------------------------------------------------------------------


def _figures(found: Evaluation, images: Images, names: tuple[str, ...]) -> Iterator[tuple[str, Figure]]:
    confusion = np.array(found.confusion)
    drawn = draw_confusion(confusion, names)
    if drawn is not None:
        data = {"classes": np.array(names), "confusion": confusion}
        yield "confusion", Figure(drawn, "Confusion", _about_confusion(confusion), data)
    if found.surest_errors:
        sheet = _sheet(found, images)
        if sheet is not None:
            yield "surest_errors", Figure(sheet, "Surest errors", ABOUT_ERRORS, {"errors": found.surest_errors})
    if found.comparison is not None:
        yield from _only_one(found, found.comparison, images)
    if found.calibration is not None:
        yield "reliability", _reliability(found)
    yield "classes", _classes(found)
    conditions = list(_conditions(found))
    if conditions:
        text = "Images in parts of about equally many; whiskers are 95 % intervals (Wilson)."
        data = {"size": found.by_size, "brightness": found.by_brightness}
        yield "conditions", Figure(draw_parts(conditions, found.top1), "Accuracy by size and brightness", text, data)


def _about_confusion(confusion: np.ndarray) -> str:
    said = "How the images of each class are called; colours are shares of the class, figures are images."
    chosen = len(chosen_classes(confusion))
    if len(confusion) <= MOST:
        return said
    return (
        f"{said} Of {len(confusion):,} classes those {chosen} of the most frequent mistakes are drawn, and all others "
        "added up."
    )


def _sheet(found: Evaluation, images: Images) -> Image.Image | None:
    """Return the surest errors as a sheet; None where none of their files can be opened again."""
    captions = {one.file: f"{one.said} {percent(one.probability)}\nlabelled {one.label}" for one in found.surest_errors}
    return _sheet_of(captions, images)


def _only_one(found: Evaluation, compared: Comparison, images: Images) -> Iterator[tuple[str, Figure]]:
    """Draw the images that only one of two models gets right, some of each."""
    assert found.answers is not None
    names = [one.name for one in found.per_class]
    labels = {file: names[label] for file, label in zip(found.files, found.answers.labels.tolist(), strict=True)}
    kinds = (("only_here", compared.only_first, "this model"), ("only_there", compared.only_second, compared.other))
    for name, files, who in kinds:
        chosen = files[:MOST_COMPARED]
        drawn = _sheet_of({file: labels[file] for file in chosen}, images) if chosen else None
        if drawn is not None:
            text = f"The first {len(chosen)} of {len(files):,}." if len(chosen) < len(files) else ""
            yield name, Figure(drawn, f"Right only by {who}", text, {"files": files})


def _sheet_of(captions: Mapping[str, str], images: Images) -> Image.Image | None:
    """Return images as a sheet, given what is written below each by its file; None where none can be opened again."""
    number = {name: place for place, name in enumerate(images.names)}
    opened, written = [], []
    for file, caption in captions.items():
        try:
            image = images.item(number[file]).open(enough=SIDE)
        except ImageError:
            continue  # it could be read a moment ago, and is gone
        # What is much smaller is enlarged pixel by pixel.
        opened.append(image if max(image.size) < SIDE / 2 else ImageOps.contain(image, (SIDE, SIDE)))
        written.append(f"{caption}\n{file.rpartition('/')[2]}")
    return contact_sheet(opened, written, columns=min(COLUMNS, len(opened))) if opened else None


def _reliability(found: Evaluation) -> Figure:
    calibration = found.calibration
    assert calibration is not None
    charts = [_chart("as the model says", calibration.before)]
    if calibration.after is not None:
        charts.append(_chart(f"with temperature {calibration.temperature:.3g}", calibration.after))
    text = (
        "How often answers are right, by how sure the model is; below the line it is surer than right. "
        f"{about_calibration(calibration)}"
    )
    data = {"before": calibration.before, "after": calibration.after, "temperature": calibration.temperature}
    return Figure(draw_reliability(charts), "Reliability", text, data)


def _chart(title: str, figures: CalibrationFigures) -> Reliability:
    bins = figures.bins
    accuracy = [
        share_estimate(round((share or 0.0) * count), count)
        for share, count in zip(bins.accuracy, bins.counts, strict=True)
    ]
    said = f"{title}: error {percent(figures.ece)}"
    return Reliability(said, bins.edges, bins.counts, bins.confidence, accuracy)


def _classes(found: Evaluation) -> Figure:
    chosen, said = worst_and_best([one for one in found.per_class if one.images], by_recall, RANKED, False)
    drawn = draw_rows(
        [one.name for one in chosen],
        [("right", [one.recall for one in chosen]), ("precision", [one.precision for one in chosen])],
    )
    text = (
        "Share of each class's images that is right (recall), and of those called it (precision), with 95 % intervals."
    )
    return Figure(drawn, "Classes", f"{text} {said.partition(';')[0].capitalize()}".strip(), {"classes": chosen})


def _conditions(found: Evaluation) -> Iterator[tuple[str, str, list[tuple[str, int, Estimate]]]]:
    if found.by_size:
        yield "by size", "square root of the image's area", _parts(found.by_size, " px")
    if found.by_brightness:
        yield "by brightness", "mean of what the model is shown, 0 black to 1 white", _parts(found.by_brightness, "")


def _parts(parts: Sequence[Part], unit: str) -> list[tuple[str, int, Estimate]]:
    return [(span(part, unit), part.images, part.accuracy) for part in parts]


__all__ = ["illustrate"]
