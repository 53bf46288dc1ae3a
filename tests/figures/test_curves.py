import math

import numpy as np
import pytest

from vitrail.figures.curves import draw_curves, read_curves, smoothed

ROWS = [
    {"step": 2, "epoch": 1.0, "loss": 1.0, "lr": 0.1, "note": "text"},
    {"step": 1, "epoch": 0.5, "loss": 2.0, "lr": 0.2},
    {"step": 3, "loss": math.nan},
    {"step": 2, "validation/loss": 1.5, "validation/top1": 0.5},
    {"loss": 9.0},
]


def test_rows_become_curves_by_measurement_and_source():
    curves = {(curve.source, curve.measure): curve for curve in read_curves(ROWS)}
    assert set(curves) == {("", "loss"), ("", "lr"), ("validation", "loss"), ("validation", "top1")}
    assert curves["", "loss"].steps == (1.0, 2.0)
    assert curves["", "loss"].values == (2.0, 1.0)
    assert curves["validation", "top1"].values == (0.5,)


def test_a_step_written_again_after_resuming_counts_once():
    (curve,) = read_curves([{"step": 1, "loss": 5.0}, {"step": 1, "loss": 4.0}])
    assert curve.values == (4.0,)


def test_smoothing_keeps_length_and_the_mean_of_a_constant():
    assert smoothed([3.0] * 100) == pytest.approx([3.0] * 100)
    noisy = [float(i % 2) for i in range(400)]
    assert len(smoothed(noisy)) == 400
    assert max(smoothed(noisy)) - min(smoothed(noisy)) < 0.2


@pytest.mark.parametrize(
    "runs",
    [ROWS, {"a": ROWS, "b": ROWS[:2]}, {"a": ROWS, "b": []}, [], [{"step": s, "loss": 10.0**-s} for s in range(99)]],
)
def test_any_rows_can_be_drawn(runs):
    picture = draw_curves(runs, title="A title")
    assert picture.mode == "RGB"
    assert np.asarray(picture).std() > 1  # something is on it


def test_chosen_measurements_alone_are_drawn():
    assert draw_curves(ROWS, measures=("loss", "top1", "missing")).height < draw_curves(ROWS).height


def test_the_same_rows_give_the_same_picture():
    assert draw_curves(ROWS).tobytes() == draw_curves(ROWS).tobytes()
