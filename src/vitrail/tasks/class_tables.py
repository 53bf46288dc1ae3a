"""Tables of classes that stay readable: of many classes the worst and the best, unless all are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from vitrail.console import percent
from vitrail.trust.intervals import Estimate

T = TypeVar("T")

MOST, ENDS = 30, 10
"""Classes of which a table shows all, and those it shows of each end of more."""


def worst_and_best(
    rows: Sequence[T], value: Callable[[T], tuple[float, ...] | None], figure: str, all_classes: bool
) -> tuple[list[T], str]:
    """Choose the rows of a table.

    Args:
        rows: of all classes, in their order.
        value: what they are ranked by, and by what follows where that is equal; None of rows that have no place in it.
        figure: what that is called.
        all_classes: all rows are asked for.

    Returns:
        The rows, of a shortened table from the worst to the best, and a sentence that says what is missing, else "".
    """
    if all_classes or len(rows) <= MOST:
        return list(rows), ""
    known = [(found, place) for place, row in enumerate(rows) if (found := value(row)) is not None]
    order = [place for _, place in sorted(known)]
    if len(order) <= 2 * ENDS:
        chosen, which = order, f"those that have one, by {figure}"
    else:
        chosen, which = [*order[:ENDS], *order[-ENDS:]], f"the {ENDS} worst and the {ENDS} best by {figure}"
    return [rows[place] for place in chosen], f"shown of {len(rows):,} classes: {which}; --all-classes shows all"


def reach(estimate: Estimate | None) -> str:
    """Write the interval of a share: ``78.1 to 87.3 %``; "" where there is none."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    return f"{percent(estimate.low).removesuffix(' %')} to {percent(estimate.high)}"


def in_brackets(estimate: Estimate | None, said: str = "") -> str:
    """Write the interval of a share behind it: `` (78.1 to 87.3 %)``, with what stands before it; "" without one."""
    written = reach(estimate)
    return f" ({said}{written})" if written else ""


__all__ = ["in_brackets", "reach", "worst_and_best"]
