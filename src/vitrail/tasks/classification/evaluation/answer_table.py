"""The answer to every image as a table, to look up mistakes in."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from vitrail.data.sources import Images
from vitrail.tasks.classification.evaluation.answers import Answers

EACH_CLASS = 30
"""Classes up to which the table has a column of each."""

COLUMNS = ("file", "label", "predicted", "right", "probability", "p_label", "loss", "width", "height", "brightness")


def predictions_csv(answers: Answers, images: Images, names: tuple[str, ...]) -> str:
    """Write a row for each image: file, label, answer, probabilities, and what else is known of it.

    Of at most `EACH_CLASS` classes each has a column with its probability, ``p(NAME)``; of more, the five best are
    named.
    """
    each = answers.logits is not None and len(names) <= EACH_CLASS
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    ranks = range(1, answers.best.shape[1] + 1)
    more = [f"p({name})" for name in names] if each else [f"{what}_{n}" for n in ranks for what in ("class", "p")]
    writer.writerow([*COLUMNS, *more])
    shares = np.exp(answers.log_probabilities()) if each else None
    for place in range(len(answers)):
        row = _answer_row(answers, place, images, names)
        writer.writerow([*row, *(_written(shares[place]) if shares is not None else _best(answers, place, names))])
    return buffer.getvalue()


COLUMNS = (
    "file",
    "label",
    "predicted",
    "right",
    "probability",
    "p_label",
    "loss",
    "width",
    "height",
    "brightness",
)


def _answer_row(answers: Answers, place: int, images: Images, names: tuple[str, ...]) -> list[Any]:
    width, height = answers.sizes[place].tolist()
    shares = (answers.probability, answers.of_label, answers.losses)
    return [
        images.names[answers.numbers[place]],
        names[answers.labels[place]],
        names[answers.predicted[place]],
        int(answers.right[place]),
        *_written([one[place] for one in shares]),
        width or "",
        height or "",
        *_written([answers.brightness[place]]),
    ]


def _best(answers: Answers, place: int, names: tuple[str, ...]) -> Iterator[str]:
    for number, share in zip(answers.best[place], answers.shares[place], strict=True):
        yield names[number]
        yield from _written([share])


def _written(values: Iterable[float]) -> list[str]:
    return [f"{value:.6g}" for value in values]


__all__ = ["predictions_csv"]
