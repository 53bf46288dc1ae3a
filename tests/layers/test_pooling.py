import pytest
import torch

from vitrail.layers.pooling import AttentionPool


def test_attention_pool_is_timms() -> None:
    timm = pytest.importorskip("timm.layers")
    norm = lambda width, **kwargs: torch.nn.LayerNorm(width, eps=1e-6)  # noqa: E731
    theirs = timm.AttentionPoolLatent(24, num_heads=3, mlp_ratio=4.0, norm_layer=norm).double()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ours = AttentionPool(24, 3).double()
    ours.load_state_dict(theirs.state_dict())
    tokens = torch.randn(2, 9, 24, dtype=torch.float64)
    torch.testing.assert_close(ours(tokens), theirs(tokens), rtol=1e-12, atol=1e-12)


def test_attention_pool_does_not_mind_the_order_but_the_content() -> None:
    pool = AttentionPool(16, 2).double()
    tokens = torch.randn(2, 6, 16, dtype=torch.float64)
    torch.testing.assert_close(pool(tokens.flip(1)), pool(tokens))
    assert not torch.allclose(pool(tokens + torch.randn(6, 1)), pool(tokens))
