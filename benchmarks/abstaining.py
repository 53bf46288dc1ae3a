"""A classifier that may be unsure: what its parts are worth, and what else could have been done in their place.

Of a run of vitrail's with validation and test images, printed are:

- *unlike*: how well photographs of other things are told from test images, as the area under the ROC curve, by the
  energy of the scores (Liu et al. 2020) and by the Mahalanobis distance of the vectors; and which shares of both are
  called unlike where 1 % of the validation images are;
- *sets*: coverage and size over 1,000 random divisions of validation and test images into two halves, for the sets of
  `vitrail.trust.conformal` and for adaptive ones (Romano et al. 2020);
- *threshold*: how many test images are answered, and how many of these wrong, with the threshold of
  `vitrail.trust.abstention`, with fixed-sequence testing from the strictest threshold on, and with Bonferroni's
  correction over twenty thresholds (Angelopoulos et al. 2021, Learn then Test).

    python benchmarks/abstaining.py RUN DATA OTHER [OTHER ...]     # OTHER: a folder of other images
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from scipy.special import logsumexp
from scipy.stats import binom
from sklearn.metrics import roc_auc_score

from vitrail.data.requested import requested_images
from vitrail.runs.measured import known_split
from vitrail.tasks.classification.predictor import ClassPredictor
from vitrail.tasks.classification.reliability import Scored, score_alone
from vitrail.training.runtime import Runtime
from vitrail.trust.abstention import LEVEL, find_threshold
from vitrail.trust.calibration import confidences, fit_temperature, probabilities
from vitrail.trust.conformal import class_scores, quantile
from vitrail.trust.unlike import FALSE_ALARMS, fit_likeness
from vitrail.weights.open_any import open_any

SPLITS, SEED = 1000, 17
COVERAGES, ERRORS = (0.9, 0.95), (0.05, 0.1, 0.15)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("data")
    parser.add_argument("others", type=Path, nargs="+")
    arguments = parser.parse_args()
    opened = open_any(arguments.run)
    predictor = ClassPredictor(opened.model, opened.description, Runtime.named("cpu", "auto"))
    known = known_split(arguments.run, opened.description, arguments.data)
    validation, test = (score_alone(predictor, known.part(split), 0) for split in ("validation", "test"))
    for other in arguments.others:
        print_unlike(other, validation, test, *scored_files(predictor, other))
    temperature = fit_temperature(validation.logits, validation.labels).value
    print_sets(validation, test, temperature)
    print_thresholds(validation, test, temperature)


def scored_files(predictor: ClassPredictor, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return logits and vectors of the images of a folder."""
    items, found = requested_images([folder]), []
    for start in range(0, len(items), 32):
        images = [item.open(predictor.description.preprocessing.channels) for item in items[start : start + 32]]
        found.append(predictor.scored({"image": torch.stack([predictor.transform(image) for image in images])}))
    logits, vectors = (torch.cat(column).numpy() for column in zip(*found, strict=True))
    return logits, vectors


def print_unlike(name: Path, validation: Scored, test: Scored, logits: np.ndarray, vectors: np.ndarray) -> None:
    likeness = fit_likeness(validation.vectors)
    assert likeness is not None
    energies = [-logsumexp(values, axis=1) for values in (validation.logits, test.logits, logits)]
    scores = {
        "energy": (*energies[1:], np.quantile(energies[0], 1 - FALSE_ALARMS)),
        "Mahalanobis": (likeness.distances(test.vectors), likeness.distances(vectors), likeness.limit),
    }
    for what, (inside, outside, limit) in scores.items():
        area = roc_auc_score([0] * len(inside) + [1] * len(outside), [*inside, *outside])
        flagged = f"called unlike: {(inside > limit).mean():.1%} of test, {(outside > limit).mean():.1%} of these"
        print(f"unlike   {name}: {what}: AUROC {area:.4f}; {flagged}")


def adaptive_scores(shares: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Return for each class the probability of all likelier ones, and a random part of its own."""
    order = np.argsort(-shares, axis=1, kind="stable")
    ranked = np.take_along_axis(shares, order, axis=1)
    scores = np.empty_like(shares)
    np.put_along_axis(scores, order, np.cumsum(ranked, axis=1) - ranked + parts * ranked, axis=1)
    return scores


def print_sets(validation: Scored, test: Scored, temperature: float) -> None:
    shares = probabilities(np.concatenate([validation.logits, test.logits]), temperature)
    labels, random = np.concatenate([validation.labels, test.labels]), np.random.default_rng(SEED)
    kinds = {"ours": class_scores(shares), "adaptive": adaptive_scores(shares, random.random((len(shares), 1)))}
    hard = shares.max(axis=1) < 0.8
    for coverage in COVERAGES:
        for what, scores in kinds.items():
            rows = [split_once(scores, labels, hard, coverage, random.permutation(len(labels))) for _ in range(SPLITS)]
            held, size, of_hard = np.mean(rows, axis=0)
            said = f"right class in {held:.2%}, {size:.2f} classes; where the best has less than 80 %: in {of_hard:.1%}"
            print(f"sets     {coverage:.0%} wanted, {what}: {said}")


def split_once(
    scores: np.ndarray, labels: np.ndarray, hard: np.ndarray, coverage: float, order: np.ndarray
) -> tuple[float, float, float]:
    """Learn the limit from one half, and return coverage, size, and coverage of hard images on the other."""
    of_label = scores[np.arange(len(labels)), labels]
    first, second = np.array_split(order, 2)
    limit = quantile(of_label[first], coverage)
    held = of_label[second] <= limit
    return held.mean(), (scores[second] <= limit).sum(axis=1).mean(), held[hard[second]].mean()


def print_thresholds(validation: Scored, test: Scored, temperature: float) -> None:
    sure, right = confidences(probabilities(validation.logits, temperature), validation.labels)
    others, others_right = confidences(probabilities(test.logits, temperature), test.labels)
    for error in ERRORS:
        kinds = {
            "ours": find_threshold(sure, right, error).value,
            "fixed sequence": fixed_sequence(sure, right, error),
            "Bonferroni over 20": bonferroni(sure, right, error),
        }
        for what, value in kinds.items():
            answered = others >= (np.inf if value is None else value)
            wrong = f"{(~others_right[answered]).mean():.1%} wrong" if answered.any() else "none"
            print(f"threshold at most {error:.0%} wrong, {what}: test images answered {answered.mean():.1%}, {wrong}")


def passes(sure: np.ndarray, right: np.ndarray, value: float, error: float, level: float) -> bool:
    """Whether Clopper and Pearson's bound on the error above a threshold is at most the wanted one."""
    answered = sure >= value
    return bool(binom.cdf((~right[answered]).sum(), answered.sum(), error) <= level)


def fixed_sequence(sure: np.ndarray, right: np.ndarray, error: float) -> float | None:
    """Go down the numbers of answers, from the least that can pass, until the first that does not."""
    ordered, found = np.sort(sure)[::-1], None
    fewest = int(np.ceil(np.log(LEVEL) / np.log1p(-error)))
    for value in ordered[fewest - 1 :]:
        if not passes(sure, right, value, error, LEVEL):
            break
        found = value
    return found


def bonferroni(sure: np.ndarray, right: np.ndarray, error: float, count: int = 20) -> float | None:
    """Return the least of evenly spaced thresholds that pass at a level shared out among them."""
    values = np.linspace(0, 1, count, endpoint=False)
    return next((value for value in values if passes(sure, right, value, error, LEVEL / count)), None)


if __name__ == "__main__":
    main()
