"""Of many classes a table shows both ends, and says so."""

from vitrail.tasks.class_tables import ENDS, MOST, in_brackets, reach, worst_and_best
from vitrail.trust.intervals import Estimate


def ranked(value: float | None) -> tuple[float, ...] | None:
    return None if value is None else (value,)


def test_few_classes_are_shown_as_they_come() -> None:
    rows = [0.5, None, 0.1] * (MOST // 3)
    assert worst_and_best(rows, ranked, "IoU", False) == (rows, "")
    many = [*rows, 0.7]
    assert worst_and_best(many, ranked, "IoU", True) == (many, "")


def test_of_many_the_worst_and_the_best_are_shown_and_the_rest_is_counted() -> None:
    rows = [number / 100 for number in range(100)][::-1]
    shown, said = worst_and_best(rows, ranked, "IoU", False)
    assert shown == [*sorted(rows)[:ENDS], *sorted(rows)[-ENDS:]]
    assert said == "shown of 100 classes: the 10 worst and the 10 best by IoU; --all-classes shows all"


def test_where_few_have_a_figure_those_are_shown() -> None:
    shown, said = worst_and_best([None] * 40 + [0.3, 0.2], ranked, "IoU", False)
    assert shown == [0.2, 0.3]
    assert "those that have one, by IoU" in said


def test_an_interval_that_is_not_known_is_not_written() -> None:
    assert reach(Estimate(0.5, 0.401, 0.599)) == "40.1 to 59.9 %"
    assert in_brackets(Estimate(0.5, 0.401, 0.599)) == " (40.1 to 59.9 %)"
    assert reach(Estimate(0.5)) == in_brackets(None) == ""
