"""Scoring part by part, at several scales and mirrored."""

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vitrail.errors import ConfigError
from vitrail.heads.sliding_window import Limit, class_probabilities, classes_of, sliding, starts, to_probabilities


def local(images: Tensor) -> Tensor:
    """Score every pixel by itself: what is around it does not matter."""
    return torch.cat([images, -images, 0.5 * images[:, :1]], dim=1)


def corner(images: Tensor) -> Tensor:
    """Score a pixel by its place in the part."""
    h, w = images.shape[-2:]
    place = torch.arange(h)[:, None] * 100.0 + torch.arange(w)
    return torch.stack([place, -place]).expand(len(images), -1, -1, -1)


@given(st.integers(1, 200), st.integers(1, 60), st.sampled_from([0.0, 1 / 3, 0.5, 0.9]))
@settings(deadline=None)
def test_parts_cover_a_side_and_overlap_as_much_as_asked(side: int, part: int, overlap: float) -> None:
    found = starts(side, part, overlap)
    covered = {pixel for start in found for pixel in range(start, min(side, start + part))}
    assert covered == set(range(side))
    assert all(start >= 0 and start + min(part, side) <= side for start in found)
    gaps = [b - a for a, b in itertools.pairwise(found)]
    assert all(0 < gap <= max(1, int(part * (1 - overlap))) for gap in gaps)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20))
@settings(deadline=None, max_examples=30)
def test_a_score_that_needs_no_surroundings_is_the_same_in_parts(h: int, w: int, part: int) -> None:
    images = torch.randn(2, 1, h, w)
    assert torch.allclose(sliding(local, images, (part, part + 1)), local(images), atol=1e-6)


def test_where_parts_overlap_their_scores_are_averaged() -> None:
    found = sliding(corner, torch.zeros(1, 1, 4, 6), (4, 4), overlap=0.5)
    first, second = corner(torch.zeros(1, 1, 4, 4))[0, 0], corner(torch.zeros(1, 1, 4, 4))[0, 0]
    expected = torch.cat([first[:, :2], (first[:, 2:] + second[:, :2]) / 2, second[:, 2:]], dim=1)
    assert torch.equal(found[0, 0], expected)


def test_the_mean_over_mirrorings_does_not_change_when_the_image_is_mirrored() -> None:
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(1, 3, 3, padding=1)
    images = torch.randn(1, 1, 9, 14)
    with torch.no_grad():
        one = class_probabilities(layer, images, flip=True, scales=(0.5, 1.0, 1.5))
        other = class_probabilities(layer, images.flip(-1), flip=True, scales=(0.5, 1.0, 1.5))
    assert torch.allclose(one, other.flip(-1), atol=1e-6)
    assert torch.allclose(one.sum(dim=1), torch.ones(1, 9, 14), atol=1e-6)


def test_the_answer_has_the_size_that_is_asked_for() -> None:
    found = class_probabilities(local, torch.randn(1, 1, 7, 5), (13, 21), window=(4, 4), scales=(0.1, 2.0))
    assert found.shape == (1, 3, 13, 21)
    assert classes_of(found).dtype == torch.uint8


@pytest.mark.parametrize("options", [{"window": (0, 4)}, {"overlap": 1.0}, {"scales": ()}, {"scales": (1.0, 0.0)}])
def test_what_cannot_work_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        class_probabilities(local, torch.randn(1, 1, 4, 4), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("strides", "trained_at", "size", "part"),
    [
        ((16,), (512, 512), (2048, 2048), None),
        ((16,), (512, 512), (500, 20_000), (1024, 1024)),
        ((4,), (64, 64), (512, 513), (256, 256)),
        ((4,), (64, 300), (512, 512), None),
        ((4, 8, 16, 32), (512, 512), (20_000, 500), (1024, 1024)),
        ((4, 8, 16, 32), (3000, 3000), (3000, 3000), None),
    ],
)
def test_images_above_a_size_are_scored_in_parts(strides: Any, trained_at: Any, size: Any, part: Any) -> None:
    assert Limit.of(strides, trained_at).window_for(*size) == part


def test_a_large_image_is_scored_as_if_its_parts_had_been_asked_for() -> None:
    images = torch.randn(1, 2, 30, 70)
    limit = Limit(1000, (16, 16))
    assert torch.equal(
        class_probabilities(corner, images, limit=limit), class_probabilities(corner, images, window=(16, 16))
    )
    assert torch.equal(
        class_probabilities(local, images, limit=Limit(2100, (16, 16))), class_probabilities(local, images)
    )


def test_many_scores_become_the_same_probabilities_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = torch.randn(1, 5, 40, 33)
    expected = scores.softmax(dim=1)
    monkeypatch.setattr("vitrail.heads.sliding_window.MANY_SCORES", 100)
    monkeypatch.setattr("vitrail.heads.sliding_window.SOFTMAX_AT_ONCE", 900)
    assert torch.allclose(to_probabilities(scores), expected, atol=1e-7)
