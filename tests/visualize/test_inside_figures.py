"""Figures of what is inside a model: colours that mean what their legend says, and charts that hold every value."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from vitrail.explain.attention_distance import attention_reach
from vitrail.explain.faithfulness import Curves, Faithfulness
from vitrail.explain.filters import principal_filters
from vitrail.explain.methods import Explanation
from vitrail.explain.outlier_tokens import OutlierTokens
from vitrail.explain.patch_tokens import Neighbour, token_colours, token_groups
from vitrail.explain.sanity import RandomisedMap
from vitrail.visualize import explanations, filters, layer_charts, positions, reach, tokens
from vitrail.visualize.scales import coloured, scale_legend


def randn(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def grey(side: int = 32) -> Image.Image:
    return Image.new("RGB", (side, side), (100, 100, 100))


def colours_in(image: Image.Image) -> set[tuple[int, ...]]:
    return {colour for _, colour in image.convert("RGB").getcolors(2**24)}  # type: ignore[union-attr, misc]


def test_a_filters_zero_is_grey_and_its_largest_number_has_full_contrast() -> None:
    values = torch.zeros(3, 2, 2)
    values[0, 0, 1], values[2, 1, 0] = 0.2, -0.4
    drawn = pixels(filters.filter_image(values))
    side = filters.SIDE
    assert drawn.shape == (side, side, 3)
    assert drawn[0, 0].tolist() == [128, 128, 128]
    assert drawn[0, -1].tolist() == [191, 128, 128]
    assert drawn[-1, 0].tolist() == [128, 128, 0]
    one = pixels(filters.filter_image(torch.tensor([[[1.0, -1.0]]])))
    assert one[0, 0].tolist() == [255] * 3
    assert one[0, -1].tolist() == [0] * 3


def test_components_and_filters_fill_rows_of_seven() -> None:
    drawn = filters.draw_principal(principal_filters(randn(40, 3, 4, 4), 9))
    assert drawn.width > 7 * filters.SIDE
    assert drawn.height > 2 * filters.SIDE
    many = filters.draw_filters(randn(90, 1, 3, 3))
    assert many.height > 9 * filters.SIDE  # 63 of them


def test_similarities_have_the_colours_of_their_scale() -> None:
    shades = positions.colours_of(torch.tensor([[-1.0, 0.0, 1.0, 2.0]]))
    expected = (255 * coloured(positions.COLOURS, np.array([0.0, 0.5, 1.0, 1.0]))).round()
    assert np.array_equal(shades[0], expected)
    values = torch.zeros(2, 3, 2, 3)
    values[1, 2, 0, 1] = 1
    drawn = positions.draw_similarity(values)
    assert {tuple(map(int, expected[1])), tuple(map(int, expected[2]))} <= colours_in(drawn)
    coarse = positions.draw_similarity(torch.zeros(40, 40, 40, 40))
    assert coarse.width < 1200


def test_biases_have_a_row_for_each_block() -> None:
    one, two = (positions.draw_biases([randn(3, 5, 5)] * count) for count in (1, 2))
    assert two.height - one.height > 96


@pytest.mark.parametrize("signed", [False, True])
def test_what_is_0_shows_the_image_and_the_largest_value_the_last_colour(signed: bool) -> None:
    values = torch.tensor([[0.0, 0.0], [0.5, -2.0 if signed else 2.0]])
    drawn = pixels(explanations.explanation_map(grey(), values, signed))
    assert drawn[0, 0].tolist() == [100, 100, 100]
    last = coloured(*((explanations.BOTH, np.array([0.0])) if signed else (explanations.FOR, np.array([0.98]))))[0]
    expected = 255 * (0.15 * 100 / 255 + 0.85 * last)
    assert np.abs(drawn[-1, -1] - expected).max() <= 1
    assert drawn[-1, 0].tolist() not in (drawn[0, 0].tolist(), drawn[-1, -1].tolist())
    nothing = pixels(explanations.explanation_map(grey(), torch.zeros(2, 2), signed))
    assert (nothing == 100).all()


def faithful() -> Faithfulness:
    shares = torch.linspace(0, 1, 6)
    named = Curves(shares, randn(2, 6).sigmoid(), randn(2, 6).sigmoid())
    return Faithfulness(named, named, named)


def test_explanations_stand_beside_the_image_with_their_test_below() -> None:
    maps = {
        "leave-one-out": Explanation(randn(2, 2, 2), "fall", signed=True, errors=randn(2, 2, 2).abs()),
        "grad-cam": Explanation(randn(2, 2, 2).abs(), "activation", note="A note."),
    }
    given = (randn(2, 3, 16, 16), (0.5,) * 3, (0.5,) * 3, ("a.jpg\nclass", "b.jpg\nclass"))
    alone = explanations.draw_explanations(explanations.Shown(*given, maps, {}))
    tested = explanations.draw_explanations(explanations.Shown(*given, maps, {"grad-cam": faithful()}))
    assert alone.width == tested.width
    assert alone.width > 3 * explanations.WIDE
    assert tested.height > alone.height
    data = explanations.faithfulness_data(faithful())
    assert len(data["named"]["deletion"][1]) == len(data["share_of_patches"]) == 6
    assert len(data["least"]["insertion_area"]) == 2


def test_charts_name_every_method_and_model(monkeypatch: pytest.MonkeyPatch, classifier, images) -> None:  # type: ignore[no-untyped-def]
    from matplotlib.axes import Axes

    said: list[str] = []
    legend, title = Axes.legend, Axes.set_title

    def named(self: Axes, *args: object, **options: object) -> object:
        said.extend(line.get_label() for line in self.get_lines())  # type: ignore[misc]
        return legend(self, *args, **options)

    def titled(self: Axes, text: str, **options: object) -> object:
        said.append(text)
        return title(self, text, **options)

    monkeypatch.setattr(Axes, "legend", named)
    monkeypatch.setattr(Axes, "set_title", titled)
    explanations.draw_faithfulness({"chefer": faithful(), "rollout": faithful()})
    measured = attention_reach(classifier, images)
    reach.draw_reach({"$one": measured, "other": measured})
    layer_charts.draw_neighbours({"m": torch.tensor([0.5, 0.75]), "n": torch.tensor([0.1])}, 8, 2)
    layer_charts.draw_sanity({"chefer": [RandomisedMap(n, randn(1, 2, 2), torch.tensor([0.5])) for n in (3, 2, 1, 0)]})
    layer_charts.draw_similarities({("a", "a"): torch.eye(3), ("a", "b"): torch.ones(3, 2)}, 8)
    text = "\n".join(map(str, said))
    for wanted in ("Gradient-weighted attention rollout", "random", "$one".replace("$", r"\$"), "other", "8 images"):
        assert wanted in text
    assert reach.reach_data(measured)["distance"][1] == measured.distance[1].T.tolist()


def test_tokens_groups_norms_and_neighbours_are_drawn_of_every_image() -> None:
    shown, names = [grey()] * 3, ["a", "b", "c"]
    features = randn(3, 8, 4, 4)
    assert tokens.draw_tokens(shown, names, token_colours(features), token_groups(features, 3, seed=2)).height > 780
    norms = torch.ones(3, 4, 4)
    norms[1, 2, 3] = 9
    drawn = tokens.draw_norms(shown, names, OutlierTokens(norms, 3.0))
    assert (226, 60, 60) in colours_in(drawn)
    assert (226, 60, 60) not in colours_in(tokens.draw_norms(shown, names, OutlierTokens(torch.ones(3, 4, 4), 3.0)))
    nearest = tokens.draw_neighbours(
        shown, names, (0, 1, 2), [Neighbour(1, 0, 0, 0.9), Neighbour(2, 3, 3, 0.8)], (4, 4)
    )
    assert tokens.MARK in colours_in(nearest)


def test_a_legend_has_its_unit_and_the_colours_at_its_ends() -> None:
    drawn = scale_legend("cividis", ["0", "1"], "unit")
    ends = (255 * coloured("cividis", np.array([0.0, 1.0]))).round().astype(int)
    assert {tuple(int(value) for value in end) for end in ends} <= colours_in(drawn)
