"""Two models on the same images: the paired interval, and what is said of it."""

from pathlib import Path

import numpy as np
import pytest

from tests.stress.models import chosen, stressed
from vitrail.stress.answers import AnswerFile
from vitrail.stress.compare import Difference, differences, paired_interval
from vitrail.stress.figures import area_under
from vitrail.stress.measure import Measurement
from vitrail.stress.suite import Suited, curves_of
from vitrail.stress.words import _compared


def test_the_difference_is_that_of_the_shares_kept_and_its_interval_that_of_a_bootstrap_loop() -> None:
    random = np.random.RandomState(5)
    clean = [random.random_sample(60) < 0.8, random.random_sample(60) < 0.7]
    values = [one * random.random_sample(60) for one in clean]
    kept, low, high = paired_interval(values, clean)
    expected = values[0].sum() / clean[0].sum() - values[1].sum() / clean[1].sum()
    assert kept == pytest.approx(expected)
    drawn = []
    for _ in range(2000):
        some = random.randint(0, 60, 60)
        drawn.append(
            np.subtract(*(one[some].sum() / base[some].sum() for one, base in zip(values, clean, strict=True)))
        )
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, (0.025, 0.975))), abs=0.012)


def test_nineteen_of_twenty_intervals_hold_the_true_difference() -> None:
    random, held = np.random.RandomState(6), 0
    for _ in range(200):
        hard = random.random_sample(150)
        clean = [hard < 0.9, hard < 0.8]
        values = [(hard < 0.5).astype(float), (hard < 0.3).astype(float)]
        _, low, high = paired_interval(values, clean)
        held += low <= 0.5 / 0.9 - 0.3 / 0.8 <= high
    assert held >= 183


def test_a_model_beside_itself_keeps_just_as_much_and_curves_of_one_model_alone_are_left_out(tmp_path: Path) -> None:
    pair = []
    for number, name in enumerate(("vit_ti16", "vit_ti16", "swin_t")):
        model = stressed(tmp_path, name, f"{name} {number}")
        curves = curves_of(("occlusion", "shuffle"), Suited(model.size, model.token_grid, True, True, quick=True))
        curves = [curve for curve in curves if not curve.needs]
        measurement = Measurement(model, chosen(model), curves, None, 8)
        file = AnswerFile(tmp_path / f"answers {number}", {})
        measurement.run(file, lambda unit: None)
        pair.append((measurement, file))
    found = differences(pair)
    own = [one for one in found if one.second == "vit_ti16 1"]
    assert {one.curve for one in own} >= {"shuffle", "occlusion_random", "tokens_random"}
    assert all(one.kept == one.low == one.high == 0 and not one.is_told for one in own)
    assert not any(one.curve.startswith("tokens") for one in found if one.second == "swin_t 2")
    assert any(one.level == 0.5 for one in own)


def test_what_cannot_be_told_is_said() -> None:
    told = _compared(Difference("a", "b", "occlusion_random", 0.5, -0.2, -0.3, -0.1), "the patches")
    assert told == (
        "At half of the patches b keeps 20.0 points more of its own accuracy than a "
        "(95 % interval 10.0 points to 30.0 points)."
    )
    assert "cannot tell" in _compared(Difference("a", "b", "occlusion_random", 0.5, 0.2, -0.1, 0.5), "the patches")


def test_the_area_is_that_of_trapeziums() -> None:
    places, values = np.array([0.0, 0.25, 1.0]), np.array([1.0, 0.5, 0.1])
    assert area_under(places, values) == pytest.approx(0.25 * 0.75 + 0.75 * 0.3)
