"""A confusion matrix of any number of classes: which of them are drawn, and that what is left out is added up."""

import numpy as np
import pytest

from vitrail.visualize.confusion import CHOSEN, MOST, _short, _with_others, chosen_classes, draw_confusion, shortened


@pytest.mark.parametrize("classes", [1, 2, 10, MOST, 1000])
def test_any_number_of_classes_is_drawn_at_a_size_that_can_be_read(classes: int) -> None:
    random = np.random.RandomState(classes)
    confusion = np.diag(random.randint(0, 9, classes)) + (random.random_sample((classes, classes)) < 0.02)
    confusion[0, classes - 1] += 1
    drawn = draw_confusion(confusion.astype(np.int64), [f"class $_{number}" for number in range(classes)])
    assert drawn is not None
    assert 600 <= drawn.width <= 2600


def test_of_many_classes_those_of_the_most_frequent_mistakes_are_chosen() -> None:
    confusion = np.diag(np.full(100, 50))
    for place in range(40):
        confusion[place, 99 - place] = 40 - place
    chosen = chosen_classes(confusion)
    assert len(chosen) == CHOSEN
    assert set(chosen) == {*range(CHOSEN // 2), *range(100 - CHOSEN // 2, 100)}
    added = _with_others(confusion, chosen)
    assert added.sum() == confusion.sum()
    assert added[0, 0] == 50
    assert added[0, CHOSEN - 1] == 40
    assert added[CHOSEN].sum() == confusion[CHOSEN // 2 : 100 - CHOSEN // 2].sum()


def test_many_classes_without_a_mistake_are_not_drawn() -> None:
    assert draw_confusion(np.eye(50, dtype=np.int64), [str(number) for number in range(50)]) is None


def test_long_names_lose_their_middle() -> None:
    assert shortened("x" * 12 + "middle" + "y" * 12) == "xxxxxxxxxx…yyyyyyyyy"
    assert shortened("short") == "short"


def test_counts_fit_into_their_cells() -> None:
    assert [_short(count) for count in (7, 9_999, 39_559, 1_250_000)] == ["7", "9,999", "39k", "1,250k"]
