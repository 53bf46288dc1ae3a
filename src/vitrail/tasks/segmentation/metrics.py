"""How much of the pixels a segmenter gets right, as the verbs show it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vitrail.console import figure, percent
from vitrail.output import say, say_table
from vitrail.tasks.class_tables import worst_and_best
from vitrail.tasks.illustrated import Illustrated
from vitrail.tasks.left_out import left_out as unread_lines
from vitrail.tasks.left_out import say_measured
from vitrail.training.measure import mean_of_ratios
from vitrail.visualize.report import Table


@dataclass(frozen=True)
class SegmentEvaluation:
    """What a segmenter gets right, over the pixels that are not void.

    Attributes:
        split: the images measured on.
        images: how many they are.
        mean_iou: mean over the classes of intersection over union; classes neither there nor found are left out.
        pixel_accuracy: share of the pixels whose class is right.
        mean_accuracy: mean over the classes of the share of their pixels that is found.
        loss: mean cross-entropy of a pixel, in nats.
        classes: for each class its name, its pixels, its intersection over union, and the share of its pixels that is
            found; None where there is nothing to divide by.
        damaged: files that could not be read and were left out.
        notes: what else is to be known of the figures, and of which images were measured.
    """

    split: str
    images: int
    mean_iou: float
    pixel_accuracy: float
    mean_accuracy: float
    loss: float
    classes: tuple[tuple[str, int, float | None, float | None], ...]
    damaged: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def say(self, all_classes: bool = False) -> None:
        """Print a table of the classes and a closing line.

        Args:
            all_classes: show every class, and of many not only the worst and the best.
        """
        say_measured(self.damaged, self.images, self.notes)
        rows, left_out = self._class_rows(all_classes)
        say_table("", CLASS_COLUMNS, rows)
        for sentence in left_out:
            say(sentence)
        say(
            f"{self.split}: {self.images:,} images, mean IoU {percent(self.mean_iou)}, "
            f"pixel accuracy {percent(self.pixel_accuracy)}, mean accuracy {percent(self.mean_accuracy)}, "
            f"loss {figure('loss', self.loss)}"
        )

    def illustrated(self, all_classes: bool) -> Illustrated:
        """Return the figures as the page shows them."""
        facts = (
            ("mean IoU", percent(self.mean_iou)),
            ("pixel accuracy", percent(self.pixel_accuracy)),
            ("mean accuracy", percent(self.mean_accuracy)),
        )
        rows, left_out = self._class_rows(all_classes)
        notes = (*unread_lines(self.damaged, self.images + len(self.damaged)), *self.notes)
        return Illustrated(facts, {}, (Table(", ".join(("Classes", *left_out)), CLASS_COLUMNS, rows),), notes)

    def _class_rows(self, all_classes: bool) -> tuple[list[tuple[str, int, str, str]], list[str]]:
        """Return the rows of the classes, and what is left out."""
        chosen, said = worst_and_best(
            self.classes, lambda one: None if one[2] is None else (one[2],), "IoU", all_classes
        )
        rows = [(name, pixels, percent(iou), percent(found)) for name, pixels, iou, found in chosen]
        return rows, [said] if said else []


def _by_iou(row: tuple[str, int, float | None, float | None]) -> tuple[float, ...] | None:
    return None if row[2] is None else (row[2],)


CLASS_COLUMNS = ("class", "pixels", "IoU", "found")


def summarise(
    split: str,
    images: int,
    totals: dict[str, tuple[list[float], list[float]]],
    class_names: tuple[str, ...],
    damaged: tuple[str, ...],
    notes: tuple[str, ...] = (),
) -> SegmentEvaluation:
    """Make the figures of an evaluation from the sums and counts of `Segmentation.measure`."""
    ious, found = (_ratios(*totals[name]) for name in ("mean_iou", "mean_accuracy"))
    pixels = [int(count) for count in totals["mean_accuracy"][1]]
    return SegmentEvaluation(
        split=split,
        images=images,
        classes=tuple(zip(class_names, pixels, ious, found, strict=True)),
        damaged=damaged,
        notes=notes,
        **{name: mean_of_ratios(*pair) for name, pair in totals.items()},
    )


def _ratios(sums: Iterable[float], counts: Iterable[float]) -> list[float | None]:
    return [total / count if count else None for total, count in zip(sums, counts, strict=True)]
