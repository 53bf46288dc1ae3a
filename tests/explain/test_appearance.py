"""Descriptions of cells against loops over their pixels, and groups that find what is painted into images."""

import math

import numpy as np
import pytest
import torch

from vitrail.explain.appearance import descriptors, group_cells, grown, in_words, to_lab
from vitrail.explain.cells import Cells

# CIELAB of the corners of sRGB under D65, as tables of the standard give them, to a tenth.
KNOWN = {
    (1, 1, 1): (100.0, 0.0, 0.0),
    (1, 0, 0): (53.2, 80.1, 67.2),
    (0, 1, 0): (87.7, -86.2, 83.2),
    (0, 0, 1): (32.3, 79.2, -107.9),
    (0, 0, 0): (0.0, 0.0, 0.0),
}


def test_colours_are_those_of_the_standard():
    for colour, lab in KNOWN.items():
        found = to_lab(torch.tensor(colour, dtype=torch.float64).view(1, 3, 1, 1)).flatten()
        assert found.tolist() == pytest.approx(lab, abs=0.1)


def test_a_description_is_mean_deviation_and_steps_of_its_pixels():
    pixels = torch.rand(2, 3, 7, 10, generator=torch.Generator().manual_seed(4))
    cells = Cells(7, 10, 3)
    found, lab = descriptors(pixels, cells), to_lab(pixels.double()).numpy()
    for image in range(2):
        for cell in range(cells.count):
            top, left = cell // 4 * 3, cell % 4 * 3
            rows, columns = range(top, min(top + 3, 7)), range(left, min(left + 3, 10))
            values = np.array([[lab[image, c, y, x] for y in rows for x in columns] for c in range(3)])
            steps = [
                (
                    abs(lab[image, 0, min(y + 1, 6), x] - lab[image, 0, y, x])
                    + abs(lab[image, 0, y, min(x + 1, 9)] - lab[image, 0, y, x])
                )
                / 2
                for y in rows
                for x in columns
            ]
            expected = [*values.mean(axis=1), *values.std(axis=1), math.fsum(steps) / len(steps)]
            assert found[image, cell].tolist() == pytest.approx(expected, abs=1e-3)


def test_grey_images_are_described_as_their_colour_twins():
    grey = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(4))
    cells = Cells(8, 8, 4)
    assert torch.equal(descriptors(grey, cells), descriptors(grey.expand(-1, 3, -1, -1), cells))


def test_a_painted_colour_is_a_group_of_its_own_and_is_found_again_in_other_images():
    generator = torch.Generator().manual_seed(4)
    pixels = 0.4 + 0.1 * torch.rand(12, 3, 32, 32, generator=generator)
    for number, image in enumerate(pixels):
        left = 4 * (number % 7)
        image[:, 8:12, left : left + 4] = torch.tensor([0.9, 0.1, 0.8]).view(3, 1, 1)
    cells = Cells(32, 32, 4)
    described = descriptors(pixels, cells)
    groups = group_cells(described[:10], 4, seed=3)
    group = int(groups.labels[0, 2 * 8])
    for number in range(10):
        assert (groups.labels[number] == group).nonzero().flatten().tolist() == [2 * 8 + number % 7]
    found = groups.belongs(described[10:], group)
    assert [row.nonzero().flatten().tolist() for row in found] == [[16 + 10 % 7], [16 + 11 % 7]]
    assert in_words(groups.centres[group]) == "flat magenta"


def test_stripes_of_two_colours_are_not_called_by_their_mean():
    pixels = torch.zeros(1, 3, 8, 8)
    pixels[:, 0, ::2], pixels[:, 1, ::2], pixels[:, 2, 1::2] = 1.0, 0.5, 0.9
    assert in_words(descriptors(pixels, Cells(8, 8, 8))[0, 0]) == "many-coloured"
    pixels[:] = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(4))
    assert in_words(descriptors(pixels, Cells(8, 8, 8))[0, 0]) == "patterned grey"


def test_fewer_kinds_of_cells_than_groups_are_as_many_groups():
    described = torch.tensor([[[0.0, 1.0], [5.0, 5.0], [0.0, 1.0]]])
    groups = group_cells(described, 16, seed=3)
    assert len(groups.centres) == 2
    assert groups.labels[0, 0] == groups.labels[0, 2] != groups.labels[0, 1]


def test_a_region_grows_by_the_cells_around_it_and_not_over_the_edge():
    cells = Cells(8, 10, 2)
    hidden = torch.zeros(2, 20, dtype=torch.bool)
    hidden[0, 4] = hidden[1, 11] = True  # a corner, and row 2 column 1
    found = grown(hidden, cells).view(2, 4, 5)
    assert found[0].nonzero().tolist() == [[0, 3], [0, 4], [1, 3], [1, 4]]
    assert found[1].nonzero().tolist() == [[y, x] for y in (1, 2, 3) for x in (0, 1, 2)]
