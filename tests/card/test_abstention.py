"""What the card says of abstaining, against loops over single images."""

import numpy as np
import pytest

from vitrail.card.abstention import COVERAGES, MAX_ERRORS, abstention_section
from vitrail.trust.reliability import learn_reliability

CLASSES = 4


def scores(count: int, seed: int, sure: float = 3.0):
    random = np.random.RandomState(seed)
    labels = random.randint(0, CLASSES, count)
    logits = random.normal(size=(count, CLASSES))
    logits[np.arange(count), labels] += sure * random.uniform(size=count)
    return logits.astype(np.float32), labels


@pytest.fixture
def known():
    logits, labels = scores(600, 3)
    return learn_reliability(logits, labels, np.random.RandomState(4).normal(size=(600, 5)))


def test_answers_and_sets_are_counted_as_a_loop_over_images_counts_them(known) -> None:
    logits, labels = scores(150, 11)
    section = abstention_section(known, (0.2, 0.9), logits, labels, "Learned.", "again")
    scaled = logits.astype(np.float64) / known.temperature.value
    shares = np.exp(scaled) / np.exp(scaled).sum(axis=1, keepdims=True)
    by_error = {one["max_error"]: one for one in section.values["answers"]}
    assert set(by_error) == {*MAX_ERRORS, 0.2}
    least = known.threshold(0.2).value
    assert least is not None
    answered = wrong = 0
    for row, label in zip(shares, labels, strict=True):
        if row.max() >= least:
            answered += 1
            wrong += int(row.argmax()) != label
    assert (by_error[0.2]["answered"], by_error[0.2]["wrong"]) == (answered, wrong)
    assert 0 < answered < 150
    by_coverage = {one["coverage"]: one for one in section.values["sets"]}
    assert set(by_coverage) == set(COVERAGES)
    limit = known.set_limit(0.9)
    held, sizes = 0, []
    for row, label in zip(shares, labels, strict=True):
        members = {k for k in range(CLASSES) if 1 - row[k] <= limit} | {int(row.argmax())}
        held += label in members
        sizes.append(len(members))
    assert by_coverage[0.9]["held"] == held
    assert by_coverage[0.9]["mean_size"] == pytest.approx(sum(sizes) / 150)
    assert by_coverage[0.9]["single"] == sum(size == 1 for size in sizes)


def test_what_cannot_be_promised_says_why_and_promises_nothing() -> None:
    logits, labels = scores(12, 5, sure=0.0)
    known = learn_reliability(logits, labels, np.zeros((12, 2)))
    section = abstention_section(known, (0.05, 0.95), *scores(20, 7), "Learned.", "again")
    facts = dict(section.facts)
    assert facts["answers of which at most 5 % are wrong"].startswith("none can be promised: ")
    assert "it takes 19 images" in facts["classes in a set for 95 %"]
    assert section.values["answers"][0]["threshold"] is None
