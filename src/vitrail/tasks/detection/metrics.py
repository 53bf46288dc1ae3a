"""COCO's figures of a detector, as the verbs show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vitrail.console import percent
from vitrail.output import say, say_table
from vitrail.tasks.class_tables import worst_and_best
from vitrail.tasks.detection.average_precision import NAMES, CocoResults, class_precisions, twelve_figures
from vitrail.tasks.illustrated import Illustrated
from vitrail.tasks.left_out import left_out as unread_lines
from vitrail.tasks.left_out import say_measured
from vitrail.visualize.report import Table


@dataclass(frozen=True)
class DetectionEvaluation:
    """COCO's twelve figures of a detector.

    Attributes:
        split: the images measured on.
        images: how many they are.
        objects: how many objects are in them, crowds not counted.
        box: the figures of its boxes by the names in `average_precision.NAMES`; None where there is
            nothing to measure, such as small objects.
        mask: likewise of its masks; empty for a detector without masks.
        classes: for each class its name, its objects, and AP and AP50 of its boxes.
        damaged: files that could not be read and were left out.
        notes: which images were measured, where that is not plain, and what else was left out or changed.
    """

    split: str
    images: int
    objects: int
    box: dict[str, float | None]
    mask: dict[str, float | None]
    classes: tuple[tuple[str, int, float | None, float | None], ...]
    damaged: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def say(self, all_classes: bool = False) -> None:
        """Print a table of the classes, one of the figures, and a closing line.

        Args:
            all_classes: show every class, and of many not only the worst and the best.
        """
        say_measured(self.damaged, self.images, self.notes)
        rows, left_out = self._class_rows(all_classes)
        say_table("", CLASS_COLUMNS, rows)
        for sentence in left_out:
            say(sentence)
        say_table("", ("figure", *self._kinds()), self._figure_rows())
        masks = f", mask AP {percent(self.mask['ap'])} AP50 {percent(self.mask['ap50'])}" if self.mask else ""
        say(
            f"{self.split}: {self.images:,} images, {self.objects:,} objects, "
            f"box AP {percent(self.box['ap'])} AP50 {percent(self.box['ap50'])}{masks}"
        )

    def illustrated(self, all_classes: bool) -> Illustrated:
        """Return the figures as the page shows them."""
        facts = [(f"{kind} {name}", percent(of[name])) for kind, of in self._kinds().items() for name in ("ap", "ap50")]
        rows, left_out = self._class_rows(all_classes)
        tables = (
            Table(", ".join(("Classes", *left_out)), CLASS_COLUMNS, rows),
            Table("COCO's figures", ("figure", *self._kinds()), self._figure_rows()),
        )
        notes = (*unread_lines(self.damaged, self.images + len(self.damaged)), *self.notes)
        return Illustrated(tuple(facts), {}, tables, notes)

    def _kinds(self) -> dict[str, dict[str, float | None]]:
        return {"box": self.box, **({"mask": self.mask} if self.mask else {})}

    def _figure_rows(self) -> list[tuple[str, ...]]:
        return [(name, *(percent(kind[name]) for kind in self._kinds().values())) for name in NAMES]

    def _class_rows(self, all_classes: bool) -> tuple[list[tuple[str, int, str, str]], list[str]]:
        """Return the rows of the classes that have objects, and what is left out."""
        there = [one for one in self.classes if one[1]]
        chosen, said = worst_and_best(there, lambda one: None if one[2] is None else (one[2],), "box AP", all_classes)
        rows = [(name, count, percent(ap), percent(ap50)) for name, count, ap, ap50 in chosen]
        return rows, [said] if said else []


CLASS_COLUMNS = ("class", "objects", "box AP", "box AP50")


def summarise(
    split: str,
    truth: dict[str, Any],
    results: CocoResults,
    names: tuple[str, ...],
    damaged: tuple[str, ...],
    with_masks: bool,
    notes: tuple[str, ...] = (),
) -> DetectionEvaluation:
    """Make the figures of an evaluation from annotations and results, both as COCO has them."""
    counted = [one for one in truth["annotations"] if not one["iscrowd"]]
    classes = class_precisions(truth, results)
    return DetectionEvaluation(
        split=split,
        images=len(truth["images"]) - len(damaged),
        objects=len(counted),
        box=_known(twelve_figures(truth, results)),
        mask=_known(twelve_figures(truth, results, masks=True)) if with_masks else {},
        classes=tuple(
            (
                name,
                sum(one["category_id"] == k + 1 for one in counted),
                _or_none(classes[k + 1][0]),
                _or_none(classes[k + 1][1]),
            )
            for k, name in enumerate(names)
        ),
        damaged=damaged,
        notes=notes,
    )


def _known(figures: dict[str, float]) -> dict[str, float | None]:
    return {name: _or_none(value) for name, value in figures.items()}


def _or_none(value: float) -> float | None:
    return None if value != value else value
