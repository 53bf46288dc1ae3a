import itertools

import pytest
import torch
from torch import nn

from vitrail.layers import attention
from vitrail.layers.attention import Attention
from vitrail.layers.relative_position import RelativeBias, RelativeKeys, offset_rows

GRID, HEADS, WIDTH = (2, 3), 2, 4


def bias_module(kind: str, grid: tuple[int, int] = GRID, prefix: int = 1) -> nn.Module:
    torch.manual_seed(0)
    if kind == "relative":
        return RelativeKeys(grid, prefix, HEADS, WIDTH).double()
    return RelativeBias(grid, prefix, HEADS).double()


@pytest.mark.parametrize("prefix", [0, 1])
def test_relative_keys_follow_the_papers_words(prefix: int) -> None:
    """Query content times the embedding of the offset p_q - p_k, at attention's own scale."""
    module = bias_module("relative", prefix=prefix)
    assert isinstance(module, RelativeKeys)
    queries = torch.randn(2, HEADS, prefix + 6, WIDTH, dtype=torch.float64)
    found = module(queries, GRID)
    for b, h, q, k in itertools.product(range(2), range(HEADS), range(6), range(6)):
        key = module.keys[h, (q - k) + 5]
        expected = (queries[b, h, prefix + q] @ key) / WIDTH**0.5
        torch.testing.assert_close(found[b, h, prefix + q, prefix + k], expected)
    if prefix:  # the class token's pairs have keys of their own: to patches, from patches, to itself
        to_patch, to_class, itself = module.keys[0, -3:]
        scaled = queries[0, 0] / WIDTH**0.5
        torch.testing.assert_close(found[0, 0, 0, 1:], (scaled[0] @ to_patch).expand(6))
        torch.testing.assert_close(found[0, 0, 1:, 0], scaled[1:] @ to_class)
        torch.testing.assert_close(found[0, 0, 0, 0], scaled[0] @ itself)


@pytest.mark.parametrize("prefix", [0, 1])
def test_bias_table_is_timms(prefix: int) -> None:
    timm = pytest.importorskip("timm.layers")
    theirs = timm.RelPosBias(window_size=(4, 3), num_heads=HEADS, prefix_tokens=prefix)
    module = RelativeBias((4, 3), prefix, HEADS)
    nn.init.normal_(theirs.relative_position_bias_table)
    module.load_state_dict({"relative_position_bias_table": theirs.relative_position_bias_table})
    queries = torch.zeros(1, HEADS, prefix + 12, WIDTH)
    assert torch.equal(module(queries, (4, 3)), theirs.get_bias())


@pytest.mark.parametrize("kind", ["relative", "relative_bias"])
@pytest.mark.parametrize("prefix", [0, 1])
@pytest.mark.parametrize("grid", [GRID, (4, 5)])
def test_visible_patches_get_their_pairs_of_the_whole(kind: str, prefix: int, grid: tuple[int, int]) -> None:
    module = bias_module(kind, prefix=prefix)
    visible = torch.tensor([[0, 2, 5], [1, 3, 4]])
    queries = torch.randn(2, HEADS, prefix + grid[0] * grid[1], WIDTH, dtype=torch.float64)
    whole = module(queries, grid).expand(2, -1, -1, -1)
    for b in range(2):
        seen = torch.tensor([*range(prefix), *(visible[b] + prefix).tolist()])
        part = module(queries[b : b + 1, :, seen], grid, visible[b : b + 1])
        torch.testing.assert_close(part[0], whole[b][:, seen][:, :, seen])


@pytest.mark.parametrize("kind", ["relative", "relative_bias"])
def test_stretching_keeps_the_middle_where_query_and_key_are_the_same(kind: str) -> None:
    module = bias_module(kind, prefix=0)
    queries = torch.ones(1, HEADS, 6 * 4, WIDTH, dtype=torch.float64)
    own = module(queries[:, :, :6], GRID)[0, 0, 0, 0]
    stretched = module(queries, (6, 4))[0, 0].diagonal()
    assert len(stretched.unique()) == 1
    if kind == "relative":
        torch.testing.assert_close(stretched[0], own)


def test_offset_rows_count_every_offset_once_per_pair() -> None:
    rows = offset_rows((3, 4))
    assert rows.min() == 0
    assert rows.max() == 5 * 7 - 1
    assert (rows.diagonal() == (5 * 7) // 2).all()
    assert (rows + rows.T == 5 * 7 - 1).all()  # the opposite offset mirrors at the middle


@pytest.mark.parametrize("kind", ["relative", "relative_bias"])
def test_observed_weights_hold_the_bias(kind: str) -> None:
    layer, module = Attention(HEADS * WIDTH, HEADS).double(), bias_module(kind)
    tokens = torch.randn(1, 7, HEADS * WIDTH, dtype=torch.float64)
    nn.init.normal_(next(module.parameters()), std=3.0)
    plain = layer(tokens, lambda queries: module(queries, GRID))
    seen: list[torch.Tensor] = []
    layer.observe = seen.append
    observed = layer(tokens, lambda queries: module(queries, GRID))
    layer(tokens)
    torch.testing.assert_close(plain, observed)
    assert not torch.allclose(seen[0], seen[1])


@pytest.mark.parametrize("kind", ["relative", "relative_bias"])
def test_the_fused_path_adds_the_same_bias(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, module = Attention(HEADS * WIDTH, HEADS).double(), bias_module(kind)
    nn.init.normal_(next(module.parameters()), std=3.0)
    tokens = torch.randn(2, 7, HEADS * WIDTH, dtype=torch.float64)
    plain = layer(tokens, lambda queries: module(queries, GRID))
    monkeypatch.setattr(attention, "PLAIN_ON_CPU_UP_TO", 0)
    torch.testing.assert_close(layer(tokens, lambda queries: module(queries, GRID)), plain)
