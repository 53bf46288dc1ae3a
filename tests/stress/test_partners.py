"""Partners of another class, and images chosen by their content."""

from collections import Counter

import numpy as np
import pytest

from vitrail.stress.chosen import by_class
from vitrail.stress.partners import partners_of
from vitrail.stress.randomness import draws, rank_of

IDENTITIES = [int(n) for n in np.random.RandomState(3).randint(1, 2**62, 60)]
LABELS = [n % 4 if n < 50 else 7 for n in range(60)]


@pytest.mark.parametrize("seed", [1, 2])
def test_a_partner_is_the_next_image_of_another_class_on_a_ring(seed: int) -> None:
    ring = sorted(range(60), key=lambda n: rank_of(IDENTITIES[n], "partner", seed))
    for number, partner in enumerate(partners_of(IDENTITIES, LABELS, seed)):
        place = ring.index(number)
        following = (ring[(place + step) % 60] for step in range(1, 60))
        assert partner == next(other for other in following if LABELS[other] != LABELS[number])


def test_a_partner_does_not_depend_on_the_order_of_the_images() -> None:
    known = partners_of(IDENTITIES, LABELS)
    back = partners_of(IDENTITIES[::-1], LABELS[::-1])
    assert [IDENTITIES[n] for n in known] == [IDENTITIES[::-1][n] for n in back][::-1]


def test_without_another_class_there_is_no_partner() -> None:
    assert partners_of([5, 6, 7], [1, 1, 1]) == [None] * 3
    assert partners_of([5, 6], [1, 2]) == [1, 0]
    assert partners_of([5], [1]) == [None]


def test_the_first_few_images_have_every_class_in_proportion_whatever_their_order() -> None:
    labels = [0] * 40 + [1] * 20
    first = by_class(IDENTITIES, labels)[:15]
    assert Counter(labels[n] for n in first) == {0: 10, 1: 5}
    backwards = by_class(IDENTITIES[::-1], labels[::-1])[:15]
    assert {IDENTITIES[n] for n in first} == {IDENTITIES[59 - n] for n in backwards}
    assert sorted(by_class(IDENTITIES, list(range(60)))) == list(range(60))


def test_random_numbers_depend_on_the_image_and_the_purpose_alone() -> None:
    first = draws(5, "noise", 0).random_sample(4)
    np.testing.assert_array_equal(first, draws(5, "noise", 0).random_sample(4))
    for other in (draws(6, "noise", 0), draws(5, "snow", 0), draws(5, "noise", 1)):
        assert (first != other.random_sample(4)).all()
    # The stream of these numbers is frozen: what was measured before stays what it was.
    assert draws(5, "noise", 0).randint(1 << 30) == FROZEN


FROZEN = 571150229
