"""COCO's figures of a detector, as the commands show them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vitrail.console import percent
from vitrail.output import say, say_table
from vitrail.tasks.class_tables import in_brackets
from vitrail.tasks.detection.average_precision import (
    NAMES,
    CocoResults,
    evaluate,
    figures_by_name,
    precision_curves,
    precisions_by_class,
)
from vitrail.tasks.detection.matches import Precisions, match_all, precisions_of
from vitrail.tasks.detection.mistakes import ImageMistakes, sure, worst_images
from vitrail.tasks.detection.words import CLASS_COLUMNS, class_rows, sentences
from vitrail.tasks.left_out import say_measured
from vitrail.trust.intervals import Estimate, share_estimate


@dataclass(frozen=True)
class DetectedClass:
    """What a detector is worth for one class.

    Attributes:
        name: of the class.
        objects: how many are there, crowds not counted.
        ap: average precision of the boxes over IoU 0.5 to 0.95, with its interval; None without objects.
        ap50, ap75: at IoU 0.5 and 0.75.
        ap_small, ap_medium, ap_large: by area: below 32^2 pixels, up to 96^2, and above; None without such objects.
        found: share of the objects that is found with a score of the threshold or more, at IoU 0.5.
        precision: share of the detections of that score that are objects; None without any.
        mask_ap: average precision of the masks; None for a detector without masks.
    """

    name: str
    objects: int
    ap: Estimate
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    found: Estimate
    precision: Estimate
    mask_ap: Estimate | None = None


@dataclass(frozen=True)
class DetectionEvaluation:
    """COCO's twelve figures of a detector, and how well they are known.

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
        estimates: AP, AP50 and AP75 with 95 % intervals by bootstrap over images, as ``box_ap`` or ``mask_ap50``.
        per_class: figures of each class, by size too.
        threshold: score from which on a detection is said, as ``vitrail predict`` does.
        curves: precision over recalls from 0 to 1 in steps of 0.01, by kind and IoU, as ``box, IoU 0.5``; means over
            the classes.
        worst_images: those with the most objects missed or wrongly found at the threshold, at most 12.
        results: what was found, in COCO's format; not part of the JSON.
        truth: the annotations, in COCO's format; not part of the JSON.
    """

    split: str
    images: int
    objects: int
    box: dict[str, float | None]
    mask: dict[str, float | None]
    classes: tuple[tuple[str, int, float | None, float | None], ...]
    damaged: tuple[str, ...]
    notes: tuple[str, ...] = ()
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    per_class: tuple[DetectedClass, ...] = ()
    threshold: float = 0.5
    curves: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    worst_images: tuple[ImageMistakes, ...] = ()
    results: CocoResults = field(default_factory=list, repr=False, compare=False, metadata={"json": False})
    truth: dict[str, Any] = field(default_factory=dict, repr=False, compare=False, metadata={"json": False})

    @property
    def kinds(self) -> dict[str, dict[str, float | None]]:
        """The twelve figures of boxes and, where there are any, of masks."""
        return {"box": self.box, **({"mask": self.mask} if self.mask else {})}

    def figure_rows(self) -> list[tuple[str, ...]]:
        """Return the table of the twelve figures."""
        return [(name, *(percent(kind[name]) for kind in self.kinds.values())) for name in NAMES]

    def say(self, all_classes: bool = False) -> None:
        """Print a table of the classes, one of the figures, what else is known, and a closing line.

        Args:
            all_classes: show every class, and of many not only the worst and the best.
        """
        say_measured(self.damaged, self.images, self.notes)
        rows, left_out = class_rows(self.per_class, all_classes)
        say_table("", CLASS_COLUMNS, rows)
        for sentence in left_out:
            say(sentence)
        say_table("", ("figure", *self.kinds), self.figure_rows())
        for sentence in sentences(self):
            say(sentence)
        masks = f", mask AP {percent(self.mask['ap'])} AP50 {percent(self.mask['ap50'])}" if self.mask else ""
        known = in_brackets(self.estimates.get("box_ap"), "95 % interval ")
        say(
            f"{self.split}: {self.images:,} images, {self.objects:,} objects, "
            f"box AP {percent(self.box['ap'])}{known} AP50 {percent(self.box['ap50'])}{masks}"
        )


def summarise(
    split: str,
    truth: dict[str, Any],
    results: CocoResults,
    damaged: tuple[str, ...],
    with_masks: bool,
    threshold: float,
    notes: tuple[str, ...] = (),
) -> DetectionEvaluation:
    """Make the figures of an evaluation.

    Args:
        split: the images measured on.
        truth: the annotations of the images that were read, as COCO's JSON has them.
        results: what was found, in COCO's format.
        damaged: files that could not be read.
        with_masks: whether masks are measured too.
        threshold: score from which on a detection is said.
        notes: what must be known.
    """
    kinds = {"box": False, **({"mask": True} if with_masks else {})}
    evaluated = {kind: evaluate(truth, results, masks) for kind, masks in kinds.items()}
    figures = {kind: _known(figures_by_name(one, truth)) for kind, one in evaluated.items()}
    matches = {kind: match_all(truth, results, one) for kind, one in evaluated.items()}
    known = {kind: precisions_of(one) for kind, one in matches.items()}
    per_class = _classes(truth, precisions_by_class(evaluated["box"], truth), matches["box"], known, threshold)
    return DetectionEvaluation(
        split=split,
        images=len(truth["images"]),
        objects=sum(one.objects for one in per_class),
        box=figures["box"],
        mask=figures.get("mask", {}),
        classes=tuple((one.name, one.objects, one.ap.value, one.ap50) for one in per_class),
        damaged=damaged,
        notes=notes,
        estimates={
            f"{kind}_{name}": _of(getattr(one, name), figures[kind][name])
            for kind, one in known.items()
            for name in ("ap", "ap50", "ap75")
        },
        per_class=per_class,
        threshold=threshold,
        curves={
            f"{kind}, IoU {name}": curve
            for kind, one in evaluated.items()
            for name, curve in precision_curves(one).items()
        },
        worst_images=worst_images(truth, matches["box"], threshold),
        results=results,
        truth=truth,
    )


def _classes(
    truth: dict[str, Any],
    precisions: Mapping[int, Mapping[str, float]],
    matches: list[Any],
    known: Mapping[str, Precisions],
    threshold: float,
) -> tuple[DetectedClass, ...]:
    """Return the figures of each class."""
    found = []
    for place, category in enumerate(truth["categories"]):
        figures = _known(precisions[category["id"]])
        hits, false = sure(matches[place], threshold)
        objects = int(matches[place].objects.sum())
        found.append(
            DetectedClass(
                name=category["name"],
                objects=objects,
                ap=_of(known["box"].classes[place], figures["ap"]),
                **{name: figures[name] for name in ("ap50", "ap75", "ap_small", "ap_medium", "ap_large")},
                found=share_estimate(hits, objects),
                precision=share_estimate(hits, hits + false),
                mask_ap=known["mask"].classes[place] if "mask" in known else None,
            )
        )
    return tuple(found)


def _of(estimate: Estimate, value: float | None) -> Estimate:
    """Return an estimate of exactly the value that COCO's package has, which adds up in another order."""
    return Estimate(value, estimate.low, estimate.high)


def _known(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if value != value else value for name, value in figures.items()}
