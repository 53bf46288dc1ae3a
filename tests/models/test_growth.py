"""The Swin paper's formulas beside what is counted."""

import pytest

from vitrail.models.growth import growth, msa, window_msa


def test_formulas_are_those_of_the_paper_at_its_own_example_of_stage_one() -> None:
    h, w, c, m = 56, 56, 96, 7
    assert msa(h * w, c) == 4 * h * w * c**2 + 2 * (h * w) ** 2 * c
    assert window_msa(h * w, c, m * m) == 4 * h * w * c**2 + 2 * m**2 * h * w * c


@pytest.mark.parametrize("name", ["swin_t", "swin_b"])
def test_where_windows_need_no_padding_the_count_is_equation_2(name: str) -> None:
    for row in growth(name, (224, 448, 896)):
        assert row.counted == row.window_msa


def test_padding_of_windows_is_counted_and_the_formula_leaves_it_out() -> None:
    (row,) = growth("swin_t", (256,))
    assert row.window_msa is not None
    # Only the products of queries, keys and values see padding; the last stage's 8x8 places fill four windows of 49.
    assert row.window_msa < row.counted < 1.2 * row.window_msa


def test_a_vits_count_is_equation_1_with_the_class_token() -> None:
    (row,) = growth("vit_s16", (224,))
    assert row.window_msa is None
    assert row.counted == 12 * msa(14 * 14 + 1, 384)


def test_a_swin_grows_with_the_pixels_and_a_vit_faster() -> None:
    swin, vit = (growth(name, (224, 896)) for name in ("swin_t", "vit_s16"))
    assert swin[1].total / swin[0].total == pytest.approx(16, rel=1e-3)
    assert vit[1].total / vit[0].total > 1.25 * 16
