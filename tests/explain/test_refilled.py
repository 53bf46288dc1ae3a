"""Answers to filled images against the model run on each image that is filled by hand."""

import pytest
import torch

from tests.explain.naive import classifier, noise
from vitrail.explain.cells import Cells
from vitrail.explain.fill import blur_fill, mean_fill
from vitrail.explain.refilled import answers, answers_without, refill


def by_hand(image, hidden, cells):
    """The image with every hidden cell in its mean colour, pixel by pixel."""
    filled = image.clone()
    for cell in hidden.nonzero().flatten().tolist():
        for y in range(cell // cells.grid[1] * cells.side, (cell // cells.grid[1] + 1) * cells.side):
            for x in range(cell % cells.grid[1] * cells.side, (cell % cells.grid[1] + 1) * cells.side):
                for channel in range(3):
                    filled[channel, y, x] = image[channel].mean()
    return filled


def test_a_filled_image_gets_the_probabilities_of_that_image():
    model, image, cells = classifier(), noise(1, 8, 12)[0], Cells(8, 12, 2)
    hidden = torch.rand(24, generator=torch.Generator().manual_seed(2)) < 0.4
    found = refill(model, image, hidden, cells, [mean_fill, blur_fill])
    with torch.no_grad():
        before = model(image[None]).softmax(dim=1)[0]
        after = model(by_hand(image, hidden, cells)[None]).softmax(dim=1)[0]
    assert found.before.tolist() == pytest.approx(before.tolist(), abs=1e-6)
    assert found.after[0].tolist() == pytest.approx(after.tolist(), abs=1e-6)
    assert found.after.shape == (2, 3)
    kept = [float(row[int(before.argmax())]) for row in found.after]
    mean = sum(kept) / 2
    assert found.kept.tolist() == pytest.approx(kept)
    assert found.spread == pytest.approx((sum((one - mean) ** 2 for one in kept) / 1) ** 0.5, rel=1e-5)
    assert found.changed.tolist() == [int(row.argmax()) != int(before.argmax()) for row in found.after]
    assert refill(model, image, hidden, cells, [mean_fill]).spread is None


def test_the_answers_without_regions_are_those_to_the_images_filled_by_hand():
    model, images, cells = classifier(), 3 * noise(4, 8, 12), Cells(8, 12, 4)
    hidden = torch.rand(40, 6, generator=torch.Generator().manual_seed(2)) < 0.5
    with torch.no_grad():
        for image in images:
            expected = [int(model(by_hand(image, some, cells)[None]).argmax()) for some in hidden]
            assert answers_without(model, image, hidden, cells, mean_fill).tolist() == expected
        assert answers(model, images).tolist() == [int(model(one[None]).argmax()) for one in images]
    assert answers_without(model, images[0], hidden[:0], cells, mean_fill).shape == (0,)
