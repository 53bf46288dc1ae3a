"""When a classifier had better say nothing: what a threshold and sets of classes do on images that are measured."""

from __future__ import annotations

import math

import numpy as np

from vitrail.card.sections import CardTable, Section, share_with_interval
from vitrail.trust.calibration import confidences, probabilities
from vitrail.trust.conformal import needed_images as needed_for_sets
from vitrail.trust.conformal import prediction_sets
from vitrail.trust.intervals import share_estimate
from vitrail.trust.reliability import Reliability

NAME, TITLE = "abstention", "When it had better say nothing"

MAX_ERRORS = (0.01, 0.02, 0.05, 0.1)
COVERAGES = (0.8, 0.9, 0.95, 0.99)


def abstention_section(
    known: Reliability, wanted: tuple[float, float], logits: np.ndarray, labels: np.ndarray, learned: str, command: str
) -> Section:
    """Return the section of what abstaining costs and brings.

    Args:
        known: what was learned from other images than the measured ones.
        wanted: the share of wrong answers and the coverage of sets that are stored with the model.
        logits: ``(N, K)``, of the measured images.
        labels: ``(N,)``.
        learned: which images it was learned from, a sentence.
        command: what learns it again.
    """
    shares = probabilities(logits, known.temperature.value)
    max_error, coverage = wanted
    thresholds = [_answered(known, error, shares, labels) for error in sorted({*MAX_ERRORS, max_error})]
    sets = [_sets(known, one, shares, labels) for one in sorted({*COVERAGES, coverage})]
    facts = (*_facts_of_answers(thresholds, max_error), *_facts_of_sets(sets, coverage))
    columns = ("wrong answers wanted, at most", "answers from a probability of", "images answered", "of these wrong")
    rows = tuple((f"{100 * one['max_error']:g} %", *one["words"]) for one in thresholds)
    of_sets = tuple((f"{100 * one['coverage']:g} %", *one["words"]) for one in sets)
    tables = (
        CardTable("Answers, and silence", columns, rows),
        CardTable(
            "Sets of classes instead of one",
            ("right class among them, wanted", "found here", "classes in a set, mean", "a single class"),
            of_sets,
        ),
    )
    sentences = (
        learned,
        "The limit on wrong answers holds with 95 % confidence, and sets hold the right class as often as wanted, for "
        "images drawn like those; the tables say what came out on the images measured here, none of which had a say.",
    )
    values = {
        "answers": [{key: value for key, value in one.items() if key != "words"} for one in thresholds],
        "sets": [{key: value for key, value in one.items() if key != "words"} for one in sets],
        "temperature": known.temperature.value,
    }
    return Section(NAME, TITLE, facts, sentences, tables, values, command)


def _answered(known: Reliability, max_error: float, shares: np.ndarray, labels: np.ndarray) -> dict:
    """Say what a threshold for a wanted error does on images with probabilities ``(N, K)``."""
    threshold = known.threshold(max_error)
    if threshold.value is None:
        words = ("none", "none", "-")
        return {"max_error": max_error, "threshold": None, "reason": threshold.reason, "words": words}
    confidence, right = confidences(shares, labels)
    answered = confidence >= threshold.value
    count, wrong = int(answered.sum()), int((answered & ~right).sum())
    error = share_estimate(wrong, count)
    words = (
        f"{threshold.value:.3f}",
        share_with_interval(share_estimate(count, len(labels))),
        share_with_interval(error),
    )
    return {
        "max_error": max_error,
        "threshold": threshold.value,
        "answered": count,
        "wrong": wrong,
        "images": len(labels),
        "words": words,
    }


def _sets(known: Reliability, coverage: float, shares: np.ndarray, labels: np.ndarray) -> dict:
    """Say what sets of a wanted coverage do on images with probabilities ``(N, K)``."""
    limit = known.set_limit(coverage)
    if not math.isfinite(limit):
        words = ("-", f"all: it takes {needed_for_sets(coverage):,} images to learn this", "-")
        return {"coverage": coverage, "limit": None, "words": words}
    members = prediction_sets(shares, limit)
    held = int(members[np.arange(len(labels)), labels].sum())
    sizes = members.sum(axis=1)
    single = int((sizes == 1).sum())
    words = (
        share_with_interval(share_estimate(held, len(labels))),
        f"{sizes.mean():.2f}",
        share_with_interval(share_estimate(single, len(labels))),
    )
    return {
        "coverage": coverage,
        "limit": limit,
        "held": held,
        "single": single,
        "mean_size": float(sizes.mean()),
        "images": len(labels),
        "words": words,
    }


def _facts_of_answers(thresholds: list[dict], max_error: float) -> tuple[tuple[str, str], ...]:
    chosen = next(one for one in thresholds if one["max_error"] == max_error)
    name = f"answers of which at most {100 * max_error:g} % are wrong"
    if chosen["threshold"] is None:
        return ((name, f"none can be promised: {chosen['reason']}"),)
    _, answered, wrong = chosen["words"]
    return ((name, answered), ("of these wrong here", wrong))


def _facts_of_sets(sets: list[dict], coverage: float) -> tuple[tuple[str, str], ...]:
    chosen = next(one for one in sets if one["coverage"] == coverage)
    held, size, _ = chosen["words"]
    if chosen["limit"] is None:
        return ((f"classes in a set for {100 * coverage:g} %", size),)
    return ((f"right class in a set made for {100 * coverage:g} %", held), ("classes in such a set, mean", size))


__all__ = ["abstention_section"]
