"""Integrated gradients against a sum over single points, and their axiom of completeness."""

import numpy as np
import pytest
import torch

from tests.explain.naive import NaiveViT, classifier, noise, slope
from vitrail.errors import ConfigError
from vitrail.explain.integrated_gradients import integrated_gradients
from vitrail.explain.target import Target


@pytest.mark.parametrize("against", [None, 2])
def test_they_are_the_mean_slope_at_the_middles_of_the_line(against):
    model, images = classifier(image_size=4, depth=1), noise(2, 4, 4)
    baseline = noise(2, 4, 4, seed=9)
    other = None if against is None else torch.tensor([against, against])
    found, rises, errors = integrated_gradients(model, images, Target(torch.tensor([1, 0]), other), 3, baseline)
    naive = NaiveViT(model)
    for number, chosen in enumerate([1, 0]):
        image = images[number].numpy()

        def score(pixels, chosen=chosen):
            logits = naive.logits(pixels)
            return logits[chosen] - (logits[against] if against is not None else 0)

        expected, way = np.zeros_like(image), image - baseline[number].numpy()
        for share in (1 / 6, 3 / 6, 5 / 6):
            point = baseline[number].numpy() + share * way
            expected += way * slope(lambda added, point=point: score(point + added), image.shape) / 3
        assert found[number].numpy() == pytest.approx(expected, abs=1e-6)
        rise = score(image) - score(baseline[number].numpy())
        assert float(rises[number]) == pytest.approx(rise, abs=1e-9)
        assert float(errors[number]) == pytest.approx(expected.sum() - rise, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit_ti16", {}),
        ("swin_t", {"image_size": 24, "embed_width": 32, "depths": (1, 1), "window": 2}),
        ("bit_r50x1", {"image_size": 24, "depths": (1, 1)}),
        ("r_vit_ti16", {"image_size": 32, "width": 16, "depth": 1, "num_heads": 2}),
    ],
)
def test_with_many_steps_the_parts_add_up_to_the_rise(name, options):
    model, images = classifier(name, **options), 0.5 * noise(1, 8, 12)
    start = 0.5 * noise(1, 8, 12, seed=7)
    values, _, errors = integrated_gradients(model, images, Target(torch.tensor([1])), 400, start)
    with torch.no_grad():
        rise = (model(images) - model(start))[0, 1]
    assert float(values.sum()) == pytest.approx(float(rise), abs=5e-3 * max(1.0, float(rise.abs())))
    assert float(errors[0]) == pytest.approx(float(values.sum() - rise), abs=1e-9)
    few = integrated_gradients(model, images, Target(torch.tensor([1])), 2, start)[2]
    assert few.abs() > errors.abs()


def test_no_steps_and_another_shape_are_refused():
    model, images, target = classifier(), noise(1, 8, 12), Target(torch.tensor([1]))
    with pytest.raises(ConfigError, match="one step or more, not 0"):
        integrated_gradients(model, images, target, steps=0)
    with pytest.raises(ConfigError, match=r"baseline is \(1, 3, 4, 4\)"):
        integrated_gradients(model, images, target, baseline=torch.zeros(1, 3, 4, 4))
