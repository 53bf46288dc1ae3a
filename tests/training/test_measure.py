from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.training.toys import ToyBatches, ToyTask
from vitrail.training.measure import measure


class Adding(nn.Module):
    """Measures the mean of the images."""

    def measure(self, batch: dict[str, Any]) -> dict[str, tuple[Tensor, Tensor]]:
        image = batch["image"]
        return {"mean": (image.sum(), torch.tensor(len(image)))}


@given(st.lists(st.lists(st.integers(-1000, 1000), min_size=1, max_size=9), min_size=1, max_size=6))
def test_batches_of_any_size_add_up_to_the_mean_over_all_samples(batches: list[list[int]]) -> None:
    everything = [value for batch in batches for value in batch]
    measured = measure(Adding(), [{"image": torch.tensor(batch)} for batch in batches])
    assert measured["mean"] == pytest.approx(sum(everything) / len(everything), abs=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_while_measuring_and_the_mode_is_as_before(training: bool) -> None:
    task = ToyTask(dropout=0.9).train(training)
    batch = next(ToyBatches().start(0))[0]
    first, second = measure(task, [batch]), measure(task, [batch])
    assert first == second
    assert task.training is training


def test_nothing_to_measure_gives_no_metrics() -> None:
    assert measure(ToyTask(), []) == {}


class PerClass(nn.Module):
    """Measures how many of each class are right."""

    def measure(self, batch: dict[str, Any]) -> dict[str, tuple[Tensor, Tensor]]:
        return {"mean": (batch["right"], batch["count"])}


def test_figures_of_classes_are_added_up_before_their_mean_is_taken() -> None:
    batches = [
        {"right": torch.tensor([1, 0, 0]), "count": torch.tensor([1, 3, 0])},
        {"right": torch.tensor([0, 2, 0]), "count": torch.tensor([3, 1, 0])},
    ]
    assert measure(PerClass(), batches) == {"mean": pytest.approx((1 / 4 + 2 / 4) / 2)}


def test_counts_beyond_the_precision_of_float32_stay_exact() -> None:
    pairs = zip((2**24, 1), (2**24 + 1, 0), strict=True)
    batches = [{"right": torch.tensor([right]), "count": torch.tensor([count])} for right, count in pairs]
    assert measure(PerClass(), batches) == {"mean": 1.0}
