import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitrail.errors import ConfigError
from vitrail.layers.masking import (
    MASKINGS,
    block_mask,
    draw_mask,
    grid_mask,
    mask_of_image,
    mask_of_patches,
    random_mask,
    split,
    visible_count,
)
from vitrail.layers.patches import take

GRIDS = st.tuples(st.integers(2, 16), st.integers(2, 16))


@given(st.integers(2, 200), st.floats(0.01, 0.99), st.integers(1, 4), st.integers(0, 2**31))
def test_split_and_restore_are_exact_permutations(patches: int, ratio: float, batch: int, seed: int) -> None:
    try:
        visible = visible_count(patches, ratio)
    except ConfigError:
        return
    torch.manual_seed(seed)
    mask = random_mask(patches, ratio, batch)
    parts = split(mask)
    assert (mask.sum(dim=1) == patches - visible).all()
    tokens = torch.arange(patches).expand(batch, -1).unsqueeze(-1)
    shuffled = torch.cat([take(tokens, parts.visible), take(tokens, parts.hidden)], dim=1)
    assert torch.equal(take(shuffled, parts.restore), tokens)
    assert not mask.gather(1, parts.visible).any()
    assert mask.gather(1, parts.hidden).all()


@pytest.mark.parametrize(("patches", "ratio", "visible"), [(196, 0.75, 49), (256, 0.75, 64), (10, 0.9, 1)])
def test_visible_counts_are_the_published_ones(patches: int, ratio: float, visible: int) -> None:
    assert visible_count(patches, ratio) == visible


@pytest.mark.parametrize("ratio", [0.0, 1.0, 0.999])
def test_hiding_nothing_or_everything_is_refused_in_one_sentence(ratio: float) -> None:
    with pytest.raises(ConfigError, match="mask_ratio"):
        random_mask(16, ratio)


def test_every_patch_is_hidden_equally_often() -> None:
    torch.manual_seed(0)
    share = random_mask(16, 0.75, 20_000).float().mean(dim=0)
    assert (share - 0.75).abs().max() < 0.02


def test_uneven_rows_are_refused() -> None:
    with pytest.raises(ConfigError, match="same number"):
        split(torch.tensor([[True, False], [False, False]]))


@settings(deadline=None, max_examples=60)
@given(GRIDS, st.floats(0.1, 0.9), st.integers(0, 2**31))
def test_blocks_hide_exactly_the_asked_share_on_any_grid(grid: tuple[int, int], ratio: float, seed: int) -> None:
    patches = grid[0] * grid[1]
    try:
        visible = visible_count(patches, ratio)
    except ConfigError:
        return
    torch.manual_seed(seed)
    assert int((~block_mask(grid, ratio)).sum()) == visible


def test_blocks_lie_together_far_more_than_random_patches_do() -> None:
    torch.manual_seed(0)

    def seams(mask: torch.Tensor) -> float:
        """Share of neighbours of which one is hidden and one is not."""
        image = mask.view(-1, 14, 14)
        return (image[:, 1:] != image[:, :-1]).float().mean().item()

    blocks = torch.stack([block_mask((14, 14), 0.5) for _ in range(50)])
    random = draw_mask("random", (14, 14), 0.5, 50)
    assert seams(random) == pytest.approx(0.5, abs=0.02)
    assert seams(blocks) < 0.2


def test_every_place_is_covered_by_blocks_now_and_then() -> None:
    torch.manual_seed(0)
    share = torch.stack([block_mask((6, 10), 0.5) for _ in range(400)]).float().mean(dim=0)
    assert share.min() > 0.1
    assert share.max() < 0.9


@pytest.mark.parametrize("grid", [(14, 14), (7, 7), (3, 8), (1, 5)])
def test_the_grid_keeps_the_first_of_every_two_by_two_patches(grid: tuple[int, int]) -> None:
    hidden = grid_mask(grid).view(grid)
    for y in range(grid[0]):
        for x in range(grid[1]):
            assert hidden[y, x] == bool(y % 2 or x % 2)


def test_the_grid_keeps_exactly_a_quarter_of_an_even_grid() -> None:
    assert (~grid_mask((14, 14))).sum() == 49


@pytest.mark.parametrize("masking", MASKINGS)
def test_rows_hide_equally_many_and_a_seed_gives_the_same_mask(masking: str) -> None:
    masks = []
    for _ in range(2):
        torch.manual_seed(3)
        masks.append(draw_mask(masking, (8, 6), 0.75, 5))  # type: ignore[arg-type]
    assert torch.equal(*masks)
    assert split(masks[0]).visible.shape == (5, 12)
    assert draw_mask(masking, (8, 6), 0.75).shape == (48,)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("masking", "ratio", "answer"),
    [
        ("blocks", 0.5, "did you mean 'block'"),
        ("grid", 0.5, "one of every four"),
        ("random", 0.0, "between 0 and 1"),
        ("block", 1.0, "between 0 and 1"),
        ("block", 0.999, "leaves 0 of 16"),
        ("random", float("nan"), "between 0 and 1"),
    ],
)
def test_what_cannot_be_hidden_is_refused_in_one_sentence(masking: str, ratio: float, answer: str) -> None:
    with pytest.raises(ConfigError, match=answer):
        draw_mask(masking, (4, 4), ratio)  # type: ignore[arg-type]


def test_a_list_of_patches_hides_those() -> None:
    assert mask_of_patches([0, 5, 5], (2, 3)).nonzero().flatten().tolist() == [0, 5]
    for wrong in ([6], [-1], [], range(6)):
        with pytest.raises(ConfigError):
            mask_of_patches(wrong, (2, 3))


def test_bright_parts_of_an_image_are_hidden_whatever_its_resolution() -> None:
    small = torch.zeros(2, 3)
    small[0, 1] = 1
    for factor in (1, 4, 7):
        image = small.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
        assert mask_of_image(image, (2, 3)).nonzero().flatten().tolist() == [1]
    with pytest.raises(ConfigError, match="hides 0 of 6"):
        mask_of_image(torch.zeros(4, 6), (2, 3))
