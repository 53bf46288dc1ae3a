import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitrail.training.neighbours import nearest_neighbours


def naive(known: list, labels: list[int], query: list, classes: int, k: int, temperature: float) -> list[float]:
    def cosine(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    nearest = sorted(((cosine(query, other), label) for other, label in zip(known, labels, strict=True)), reverse=True)
    votes = [0.0] * classes
    for similarity, label in nearest[:k]:
        votes[label] += math.exp(similarity / temperature)
    return [vote / sum(votes) for vote in votes]


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 2**31))
def test_votes_are_those_of_a_loop_over_all_images(count: int, k: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    known, queries = (torch.randn(n, 6, generator=generator) for n in (count, 5))
    labels = torch.randint(4, (count,), generator=generator)
    ours = nearest_neighbours(known, labels, queries, 4, k)
    for query, row in zip(queries.tolist(), ours.tolist(), strict=True):
        assert row == pytest.approx(naive(known.tolist(), labels.tolist(), query, 4, k, 0.07), rel=1e-3, abs=1e-5)


def test_scikit_learn_answers_alike() -> None:
    import numpy as np
    from sklearn.neighbors import KNeighborsClassifier

    torch.manual_seed(0)
    known, queries, labels = torch.randn(300, 16), torch.randn(80, 16), torch.randint(5, (300,))
    weights: Any = lambda distance: np.exp((1 - distance) / 0.07)  # noqa: E731
    theirs = KNeighborsClassifier(20, metric="cosine", weights=weights)
    theirs.fit(known.numpy(), labels.numpy())
    ours = nearest_neighbours(known, labels, queries, 5)
    np.testing.assert_allclose(ours.numpy(), theirs.predict_proba(queries.numpy()), atol=1e-4)


def test_queries_taken_in_parts_get_the_same_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    known, queries, labels = torch.randn(50, 8), torch.randn(23, 8), torch.randint(3, (50,))
    whole = nearest_neighbours(known, labels, queries, 3)
    monkeypatch.setattr("vitrail.training.neighbours.COMPARED", 100)
    torch.testing.assert_close(nearest_neighbours(known, labels, queries, 3), whole)
