import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitrail.layers.positions import Learned2d, resize_positions, sincos_2d

grids = st.tuples(st.integers(1, 12), st.integers(1, 12))


@settings(deadline=None, max_examples=40)
@given(grids, grids)
def test_bilinear_resizing_is_scipys_zoom(old: tuple[int, int], new: tuple[int, int]) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    positions = torch.randn(1, 1 + old[0] * old[1], 3)
    image = positions[0, 1:].reshape(*old, 3).double().numpy()
    zoom = (new[0] / old[0], new[1] / old[1], 1)
    expected = ndimage.zoom(image, zoom, order=1)
    assert expected.shape == (*new, 3)
    found = resize_positions(positions, old, new, mode="bilinear")
    np.testing.assert_allclose(found[0, 1:].numpy(), expected.reshape(-1, 3), rtol=1e-4, atol=1e-5)
    assert torch.equal(found[:, :1], positions[:, :1])


@pytest.mark.parametrize("new", [(24, 24), (7, 7), (9, 20), (1, 3)])
@pytest.mark.parametrize("prefix", [0, 1, 2])
def test_bicubic_resizing_is_timms(new: tuple[int, int], prefix: int) -> None:
    timm = pytest.importorskip("timm.layers")
    positions = torch.randn(1, prefix + 14 * 14, 8)
    expected = timm.resample_abs_pos_embed(positions, list(new), [14, 14], num_prefix_tokens=prefix)
    torch.testing.assert_close(resize_positions(positions, (14, 14), new, prefix), expected, rtol=0, atol=0)


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_the_own_grid_gives_the_very_same_tensor(mode) -> None:
    positions = torch.randn(1, 1 + 12, 4)
    assert resize_positions(positions, (3, 4), (3, 4), mode=mode) is positions


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
def test_several_sets_are_resized_each_by_itself(mode) -> None:
    sets = torch.randn(3, 1 + 12, 4)
    together = resize_positions(sets, (3, 4), (5, 5), mode=mode)
    alone = [resize_positions(one.unsqueeze(0), (3, 4), (5, 5), mode=mode) for one in sets]
    torch.testing.assert_close(together, torch.cat(alone))


def test_2d_positions_join_the_columns_half_and_the_rows_half() -> None:
    positions = Learned2d((3, 5), width=8, prefix=1)
    table = positions()
    assert table.shape == (1, 1 + 15, 8)
    assert not table[:, 0].any()  # the class token has no place
    for y in range(3):
        for x in range(5):
            assert torch.equal(table[0, 1 + 5 * y + x], torch.cat([positions.x[0, x], positions.y[0, y]]))


def test_2d_positions_refuse_an_odd_width() -> None:
    with pytest.raises(ValueError, match="even width"):
        Learned2d((2, 2), width=7)


def test_sincos_places_differ_and_repeat_along_an_axis() -> None:
    table = sincos_2d((4, 6), 16).reshape(4, 6, 16)
    assert torch.equal(table[0, :, :8], table[3, :, :8])  # the first half knows the column only
    assert torch.equal(table[:, 0, 8:], table[:, 5, 8:])
    assert len(torch.unique(table.reshape(-1, 16), dim=0)) == 24
