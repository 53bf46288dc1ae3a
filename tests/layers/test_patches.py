import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitrail.layers.patches import PatchEmbedding, grid_of, pad_to_patches, patchify, take, unpatchify


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_patches_put_together_are_the_image(batch: int, channels: int, h: int, w: int, size: int) -> None:
    images = torch.randn(batch, channels, h * size, w * size)
    assert torch.equal(unpatchify(patchify(images, size), size, (h, w)), images)


def test_a_patch_is_laid_out_row_column_channel() -> None:
    images = torch.arange(2 * 4 * 4.0).reshape(1, 2, 4, 4)
    second = patchify(images, 2)[0, 1]  # rows 0 and 1, columns 2 and 3
    assert torch.equal(second, images[0, :, 0:2, 2:4].permute(1, 2, 0).flatten())


def test_embedding_equals_the_convolution_of_published_weights() -> None:
    embed = PatchEmbedding(4, 3, 16)
    images = torch.randn(2, 3, 12, 20)
    torch.testing.assert_close(embed(images), embed.proj(images).flatten(2).transpose(1, 2), rtol=1e-5, atol=1e-6)


def test_embedding_visible_patches_is_embedding_all_and_choosing() -> None:
    embed = PatchEmbedding(4, 3, 16)
    images = torch.randn(2, 3, 12, 20)
    visible = torch.tensor([[0, 7, 14], [3, 4, 5]])
    torch.testing.assert_close(embed(images, visible), take(embed(images), visible))


@pytest.mark.parametrize(("size", "grid"), [((16, 16), (4, 4)), ((17, 16), (5, 4)), ((3, 9), (1, 3))])
def test_a_partly_filled_patch_counts_and_is_padded_with_zeros(size: tuple[int, int], grid: tuple[int, int]) -> None:
    padded = pad_to_patches(torch.ones(1, 1, *size), 4)
    assert grid_of(*size, 4) == grid == (padded.shape[2] // 4, padded.shape[3] // 4)
    assert padded.sum() == size[0] * size[1]
