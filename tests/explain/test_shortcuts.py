"""A model that is known to hang on a mark must be found out, region by region, and one that does not must not."""

import math

import pytest
import torch
from torch import Tensor, nn

from vitrail.explain.appearance import descriptors
from vitrail.explain.cells import Cells
from vitrail.explain.fill import mean_fill
from vitrail.explain.shortcuts import (
    LARGEST,
    LEAST_IMAGES,
    Flips,
    Images,
    Region,
    Search,
    elsewhere,
    exact_sign_test,
    more_often,
)

SIDE, MARK = 64, 8
CELLS = Cells(SIDE, SIDE, 4)


class HangsOnMagenta(nn.Module):
    """Class 0 where enough of an image is magenta; else 1 or 2, by which half is brighter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, images: Tensor) -> Tensor:
        magenta = ((images[:, 0] > 0.8) & (images[:, 1] < 0.2) & (images[:, 2] > 0.7)).sum(dim=(1, 2))
        left, right = images[..., : SIDE // 2].mean(dim=(1, 2, 3)), images[..., SIDE // 2 :].mean(dim=(1, 2, 3))
        return self.scale * torch.stack([magenta / 20 - 1, left - right, right - left], dim=1)


def photos(seed: int, marked: bool, count: int = 16) -> Tensor:
    """Soft random images; with a magenta square somewhere where asked."""
    generator = torch.Generator().manual_seed(seed)
    coarse = 0.35 + 0.3 * torch.rand(count, 3, 5, 5, generator=generator)
    images = nn.functional.interpolate(coarse, SIDE, mode="bilinear")
    for image in images if marked else []:
        top, left = torch.randint(0, SIDE - MARK, (2,), generator=generator).tolist()
        image[:, top : top + MARK, left : left + MARK] = torch.tensor([0.9, 0.1, 0.8]).view(3, 1, 1)
    return images


def as_searched(model: nn.Module, images: Tensor) -> Images:
    with torch.no_grad():
        answers = model(images).argmax(dim=1)
    return Images(images, answers, descriptors(images, CELLS), [mean_fill] * len(images))


def search(own: Tensor, others: Tensor) -> list[Region]:
    model = HangsOnMagenta()
    return Search(model, CELLS, as_searched(model, own), as_searched(model, others), seed=3).run()


def naive_answer(image: Tensor, hidden: Tensor) -> int:
    """The answer to an image whose hidden cells are painted one by one."""
    filled = image.clone()
    for cell in hidden.nonzero().flatten().tolist():
        top, left = cell // 16 * 4, cell % 16 * 4
        filled[:, top : top + 4, left : left + 4] = image.mean(dim=(1, 2)).view(3, 1, 1)
    with torch.no_grad():
        return int(HangsOnMagenta()(filled[None]).argmax())


def test_the_mark_is_named_for_its_class_and_counted_image_by_image():
    own = photos(1, marked=True)
    regions = search(own, photos(2, marked=False, count=30))
    outstanding = [one for one in regions if one.stands_out]
    assert [one.kind for one in outstanding] == ["appearance"]
    best = outstanding[0]
    assert best is regions[0]
    assert best.name.startswith("flat magenta cells")
    assert best.flips == Flips(16, 16)
    assert best.elsewhere == Flips(0, 0)
    magenta = (own[:, 0] > 0.85) & (own[:, 1] < 0.15)
    covered = CELLS.over_pixels(best.hidden)
    assert float((covered & magenta).sum() / magenta.sum()) > 0.95
    for region in regions:
        flips = [naive_answer(image, hidden) != 0 for image, hidden in zip(own, region.hidden, strict=True)]
        assert region.flipped.tolist() == flips, region.name
        assert region.share == pytest.approx(float(region.hidden[region.present].double().mean()))
        assert float(region.hidden.double().mean(dim=1).max()) <= LARGEST
        assert region.flips.images >= LEAST_IMAGES
        assert sum(count for _, count in region.towards) == sum(flips)


def test_nothing_stands_out_for_a_class_without_a_mark():
    images = photos(4, marked=False, count=60)
    with torch.no_grad():
        named = HangsOnMagenta()(images).argmax(dim=1)
    assert set(named.tolist()) == {1, 2}
    for label in (1, 2):
        regions = search(images[named == label], photos(1, marked=True))
        assert len(regions) > 10
        assert not any(one.stands_out for one in regions)


def test_a_mark_at_one_place_is_one_finding_and_not_two():
    own = photos(5, marked=False)
    own[:, :, 52:60, 52:60] = torch.tensor([0.9, 0.1, 0.8]).view(3, 1, 1)
    regions = search(own, photos(2, marked=False, count=30))
    assert sum(one.stands_out for one in regions) == 1
    covered = CELLS.over_pixels(regions[0].hidden)[:, 52:60, 52:60]
    assert bool(covered.all())
    assert regions[0].flips.flipped == 16


def test_what_other_classes_hang_on_as_much_does_not_stand_out():
    assert more_often(Flips(15, 16), Flips(2, 40))
    assert not more_often(Flips(8, 16), Flips(18, 40))
    assert more_often(Flips(5, 16), Flips(0, 0))
    assert more_often(Flips(15, 16), Flips(1, 4))
    assert not more_often(Flips(12, 16), Flips(4, 4))


@pytest.mark.parametrize(("more", "less", "both"), [(10, 0, 3), (6, 2, 0), (3, 3, 5), (0, 4, 0), (0, 0, 7)])
def test_the_sign_test_adds_up_the_binomial(more, less, both):
    first = torch.tensor([1] * more + [0] * less + [1] * both + [0] * 4).bool()
    second = torch.tensor([0] * more + [1] * less + [1] * both + [0] * 4).bool()
    count = more + less
    expected = sum(math.comb(count, k) for k in range(more, count + 1)) / 2**count
    assert exact_sign_test(first, second) == pytest.approx(expected)


def test_a_region_elsewhere_has_the_same_shape_and_hardly_covers_it():
    hidden = torch.zeros(3, 16, 16, dtype=torch.bool)
    hidden[0, 2:6, 3:5] = hidden[1, 15, :] = hidden[2, 0, 0] = True
    moved = elsewhere(hidden.flatten(1), CELLS, seed=2).view(3, 16, 16)
    for before, after in zip(hidden, moved, strict=True):
        assert not bool((before & after).any())
        shifts = [(y, x) for y in range(16) for x in range(16) if torch.equal(before.roll((y, x), (0, 1)), after)]
        assert shifts
