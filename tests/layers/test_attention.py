"""Ways to compute attention: all give the same."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vitrail.layers.attention import attend, deferred_attention, plain_attention


def _tensors(tokens: int, width: int, seed: int, size: float = 1.0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(
        (size * torch.randn(2, 3, tokens, width, generator=generator, dtype=torch.float64)).requires_grad_()
        for _ in range(3)
    )


def _bias(tokens: int, seed: int) -> torch.Tensor:
    """Return a bias that forbids some pairs, but none with itself."""
    generator = torch.Generator().manual_seed(seed)
    bias = torch.randn(3, tokens, tokens, generator=generator, dtype=torch.float64)
    forbidden = torch.rand(tokens, tokens, generator=generator) < 0.3
    return bias.masked_fill(forbidden.fill_diagonal_(False), -math.inf)


@settings(deadline=None)
@given(tokens=st.integers(1, 12), width=st.integers(1, 8), seed=st.integers(0, 99), biased=st.booleans())
def test_dividing_last_changes_neither_result_nor_gradients(tokens: int, width: int, seed: int, biased: bool) -> None:
    inputs = _tensors(tokens, width, seed)
    bias = _bias(tokens, seed) if biased else None
    plain = plain_attention(*inputs, bias)[0]
    deferred = deferred_attention(*inputs, bias)
    torch.testing.assert_close(deferred, plain, rtol=1e-9, atol=1e-12)
    weight = torch.linspace(-1, 1, plain.numel(), dtype=torch.float64).view_as(plain)
    ours, theirs = (torch.autograd.grad((weight * out).sum(), inputs) for out in (deferred, plain))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_dividing_last_survives_scores_that_would_overflow() -> None:
    q, k, v = (tensor.detach().float() for tensor in _tensors(9, 4, seed=0, size=100.0))
    assert ((q / 2) @ k.mT).max() > 100  # e^100 is more than fp32 can hold
    torch.testing.assert_close(deferred_attention(q, k, v), plain_attention(q, k, v)[0], rtol=1e-4, atol=1e-4)


def test_a_forbidden_pair_gets_a_gradient_of_exactly_zero() -> None:
    q, k, v = _tensors(4, 2, seed=1)
    bias = torch.zeros(4, 4, dtype=torch.float64)
    bias[:2, 2:] = bias[2:, :2] = -math.inf
    deferred_attention(q, k, v, bias)[:, :, :2].sum().backward()
    for tensor in (k, v):
        assert tensor.grad is not None
        assert (tensor.grad[:, :, 2:] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_attention_is_the_same(dtype: torch.dtype) -> None:
    q, k, v = (tensor.detach().to(dtype) for tensor in _tensors(9, 4, seed=2))
    compiled = torch.compile(attend, fullgraph=True, backend="aot_eager")(q, k, v)
    assert compiled.dtype is dtype
    tolerance = 1e-5 if dtype is torch.float32 else 2e-2
    torch.testing.assert_close(compiled, attend(q, k, v), rtol=tolerance, atol=tolerance)
