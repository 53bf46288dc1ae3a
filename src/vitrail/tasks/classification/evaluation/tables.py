"""The tables of the page of a classifier's evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vitrail.console import figure, percent
from vitrail.tasks.class_tables import reach, worst_and_best
from vitrail.tasks.classification.evaluation.words import (
    MISTAKE_COLUMNS,
    RANKED,
    about_comparison,
    by_recall,
    mistake_rows,
)
from vitrail.tasks.classification.metrics import Evaluation
from vitrail.trust.per_class import ClassFigures
from vitrail.visualize.report import Table

CLASS_COLUMNS = ("class", "images", "right", "95 %", "precision", "95 %", "F1", "95 %", "AUROC", "95 %")


def tables_of(found: Evaluation, all_classes: bool) -> Iterator[Table]:
    """Give the tables of classes, mistakes, calibration, and of another model beside."""
    chosen, said = worst_and_best([one for one in found.per_class if one.images], by_recall, RANKED, all_classes)
    empty = sum(not one.images for one in found.per_class)
    title = ", ".join(part for part in ("Classes", said, f"{empty:,} without images" if empty else "") if part)
    yield Table(title, CLASS_COLUMNS, [_class_row(one) for one in chosen])
    if found.confusions:
        yield Table("The most frequent mistakes", MISTAKE_COLUMNS, mistake_rows(found.confusions))
    if found.calibration is not None:
        yield _calibration(found)
    if found.comparison is not None:
        paired = found.comparison.paired
        rows = [
            ["both", paired.both],
            ["only this model", paired.only_first],
            [f"only {found.comparison.other}", paired.only_second],
            ["neither", paired.neither],
        ]
        yield Table(" ".join(about_comparison(found.comparison)), ("right", "images"), rows)


def _class_row(one: ClassFigures) -> list[Any]:
    cells: list[Any] = [one.name, one.images]
    for part in (one.recall, one.precision, one.f1, one.auroc):
        cells += [percent(part.value), reach(part).replace(" to ", "-").removesuffix(" %") or "-"]
    return cells


def _calibration(found: Evaluation) -> Table:
    calibration = found.calibration
    assert calibration is not None
    kinds = [("as the model says", calibration.before)]
    if calibration.after is not None:
        kinds.append((f"with temperature {calibration.temperature:.3g}", calibration.after))
    rows = [
        [
            name,
            percent(one.ece),
            percent(one.adaptive_ece),
            figure("loss", one.nll),
            figure("brier", one.brier),
            percent(one.confidence),
            percent(one.accuracy),
        ]
        for name, one in kinds
    ]
    bins = len(calibration.before.bins.counts)
    columns = ("probabilities", f"ECE, {bins} bins", "ECE, bins of equally many", "NLL, nats", "Brier", "confidence")
    return Table("Calibration", (*columns, "accuracy"), rows)


__all__ = ["tables_of"]
