import math

import numpy as np
import pytest

from vitrail.visualize.curves import _best, draw_curves, limits, read_curves, smoothed

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
    image = draw_curves(runs, title="A title")
    assert image.mode == "RGB"
    assert np.asarray(image).std() > 1  # something is on it


def test_chosen_measurements_alone_are_drawn():
    assert draw_curves(ROWS, measures=("loss", "top1", "missing")).height < draw_curves(ROWS).height


def test_the_same_rows_give_the_same_image():
    assert draw_curves(ROWS).tobytes() == draw_curves(ROWS).tobytes()


@pytest.mark.parametrize("name", ["a$b$", r"$\bad$", "caf\udce9", "a\nb", "x" * 300, "_hidden", ""])
def test_run_folders_of_any_name_can_be_drawn(name):
    row = {"step": 1, "loss": 1.0, "validation/loss": 2.0}
    draw_curves([row], title=name)
    draw_curves({name: [row], "other": [row]}, title=name)


def test_values_that_are_no_numbers_are_counted_and_not_drawn():
    rows = [{"step": n, "loss": value} for n, value in enumerate([1.0, float("nan"), None, float("inf"), 0.5])]
    (curve,) = read_curves(rows)
    assert (curve.values, curve.lost) == ((1.0, 0.5), 3)


@pytest.mark.parametrize(("found", "percent"), [((50.1, 50.2), True), ((0, 0.3), True), ((99.9, 100.0), True)])
def test_an_axis_of_shares_covers_some_points_and_no_impossible_ones(found, percent):
    low, high = limits(found, percent)
    assert high - low >= 4.9
    assert low <= found[0] <= found[1] <= high
    assert low >= -0.2
    assert high <= 102


def test_an_axis_of_losses_does_not_blow_noise_up():
    low, high = limits((2.300, 2.301), False)
    assert high - low >= 0.1
    assert limits((0.5, 2.5), False) == (0.5, 2.5)


@pytest.mark.parametrize("measure", ["mean_iou", "box_ap50", "top1", "pixel_accuracy", "mask_ap"])
def test_the_best_of_every_share_is_its_largest(measure):
    (curve,) = read_curves([{"step": n, f"validation/{measure}": value} for n, value in enumerate([0.1, 0.4, 0.2])])
    assert _best(curve, curve.values) == 1
