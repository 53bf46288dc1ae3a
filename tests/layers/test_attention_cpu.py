"""The fused kernel for CPUs gives what plain attention gives, and steps aside where it cannot."""

import math
from pathlib import Path
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vitrail.layers import attention_cpu, kernel_cache
from vitrail.layers.attention import fused_qkv_attention, merge_heads, plain_attention, split_heads
from vitrail.layers.attention_cpu import Missing, fused_attention, is_supported, library, ready

needs_kernel = pytest.mark.skipif(not ready(), reason="this machine cannot have the kernel; see `vitrail doctor`")

# A weight is rounded to bf16 once, and each sum once: 2^-8 of the largest, and some for adding up.
TOLERANCE = 0.01
# The gradient of a score is a small difference of sums over a head's channels, one of them of the rounded result.
OF_GRADIENTS = 0.04


def _inputs(batch: int, tokens: int, heads: int, head: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, tokens, 3 * heads * head, generator=generator).bfloat16()


def _added(tokens: int, heads: int, biased: bool, divisions: int, seed: int) -> tuple[Tensor | None, Tensor | None]:
    """Return a bias that forbids some pairs, but none with itself, and regions of several kinds."""
    generator = torch.Generator().manual_seed(seed)
    forbidden = (torch.rand(tokens, tokens, generator=generator) < 0.3).fill_diagonal_(False)
    bias = torch.randn(heads, tokens, tokens, generator=generator).masked_fill(forbidden, -math.inf)
    regions = torch.randint(-1, 2, (divisions, tokens), generator=generator, dtype=torch.int32)
    return bias if biased else None, regions if divisions else None


def _plain(qkv: Tensor, heads: int, bias: Tensor | None = None, regions: Tensor | None = None) -> Tensor:
    q, k, v = split_heads(qkv, heads, 1 if regions is None else len(regions))
    added = torch.zeros(1, 1, 1, 1, dtype=qkv.dtype) if bias is None else bias.unsqueeze(0)
    if regions is not None:
        apart_from = regions.unsqueeze(-1) != regions.unsqueeze(-2)
        added = added.expand(len(regions), heads, -1, -1).masked_fill(apart_from.unsqueeze(1), -math.inf)
        added = added.flatten(0, 1).unsqueeze(0)
    return merge_heads(plain_attention(q, k, v, added)[0], heads)


def _error(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference, in units of the largest value, or of 1 where all are small."""
    ours, theirs = ours.detach().double(), theirs.detach().double()
    return float((ours - theirs).abs().max() / theirs.abs().max().clamp(min=1.0))


def _assert_same(ours: list[Tensor], theirs: list[Tensor], out: Tensor, expected: Tensor) -> None:
    """Compare results, and the gradients of what they were made of."""
    assert _error(out, expected) < TOLERANCE
    grad = torch.randn(out.shape, generator=torch.Generator().manual_seed(0)).bfloat16()
    out.backward(grad)
    expected.backward(grad.double())
    for mine, reference in zip(ours, theirs, strict=True):
        assert mine.grad is not None
        assert reference.grad is not None
        assert _error(mine.grad, reference.grad) < OF_GRADIENTS


def _learning(*tensors: Tensor | None) -> tuple[list[Tensor], list[Tensor]]:
    """Return what there is twice, as it is and in float64, to be differentiated."""
    ours = [tensor.clone().requires_grad_() for tensor in tensors if tensor is not None]
    return ours, [tensor.detach().double().requires_grad_() for tensor in ours]


@needs_kernel
@settings(deadline=None, max_examples=60)
@given(
    tokens=st.integers(1, 200),
    heads=st.integers(1, 3),
    head=st.sampled_from([16, 32, 48, 64, 80, 96, 128]),
    biased=st.booleans(),
    divisions=st.integers(0, 3),
    rounds=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_result_and_gradients_are_those_of_plain_attention_in_float64(
    tokens: int, heads: int, head: int, biased: bool, divisions: int, rounds: int, seed: int
) -> None:
    bias, regions = _added(tokens, heads, biased, divisions, seed)
    ours, theirs = _learning(_inputs(max(divisions, 1) * rounds, tokens, heads, head, seed), bias)
    out = fused_attention(ours[0], heads, ours[1] if biased else None, regions=regions)
    _assert_same(ours, theirs, out, _plain(theirs[0], heads, theirs[1] if biased else None, regions))


@needs_kernel
@settings(deadline=None, max_examples=40)
@given(
    tokens=st.integers(1, 40),
    count=st.integers(1, 4),
    padding=st.integers(0, 5),
    biased=st.booleans(),
    divided=st.booleans(),
    seed=st.integers(0, 99),
)
def test_windows_are_sequences_of_their_own_and_padding_is_zero(
    tokens: int, count: int, padding: int, biased: bool, divided: bool, seed: int
) -> None:
    """As copying each window's tokens together, attending, and copying them back."""
    length, heads, head = max(1, tokens * count - padding), 2, 16
    slots = torch.randperm(tokens * count, generator=torch.Generator().manual_seed(seed)).view(count, tokens)
    windows = torch.where(slots < length, slots, -1).int()
    bias, regions = _added(tokens, heads, biased, count if divided else 0, seed)
    ours, theirs = _learning(_inputs(2, length, heads, head, seed), bias)
    out = fused_attention(ours[0], heads, ours[1] if biased else None, windows, regions)

    padded = torch.nn.functional.pad(theirs[0], (0, 0, 0, tokens * count - length))[:, slots.flatten()]
    mixed = _plain(padded.view(2 * count, tokens, -1), heads, theirs[1] if biased else None, regions)
    expected = mixed.view(2, tokens * count, -1)[:, slots.flatten().argsort()][:, :length]
    _assert_same(ours, theirs, out, expected)


@needs_kernel
@pytest.mark.parametrize("by", ["bias", "regions"])
def test_a_forbidden_pair_exchanges_neither_value_nor_gradient(by: str) -> None:
    qkv = _inputs(2, 49, 2, 32, seed=1)
    bias = torch.zeros(2, 49, 49)
    bias[:, :20, 20:] = bias[:, 20:, :20] = -math.inf
    regions = (torch.arange(49) < 20).int().unsqueeze(0)

    def mix(tokens: Tensor) -> Tensor:
        told = {"bias": bias} if by == "bias" else {"regions": regions}
        return fused_attention(tokens, 2, **told)[:, :20]

    changed = qkv.clone()
    changed[:, 20:] = 7.0
    assert mix(changed).equal(mix(qkv))
    mix(qkv.requires_grad_()).sum().backward()
    assert qkv.grad is not None
    assert (qkv.grad[:, 20:] == 0).all()


@needs_kernel
def test_scores_that_would_overflow_are_survived() -> None:
    qkv = (100 * _inputs(1, 9, 1, 16, seed=0).float()).bfloat16()
    assert _error(fused_attention(qkv, 1), _plain(qkv.double(), 1)) < TOLERANCE


@needs_kernel
@pytest.mark.parametrize("part", [0, 1, 2])
def test_what_is_not_a_number_is_not_hidden(part: int) -> None:
    """A loss that is not finite stops a run; weights of zero in its place would not."""
    qkv = _inputs(1, 9, 1, 16, seed=0)
    qkv[0, 4, part * 16 + 3] = math.nan
    assert fused_attention(qkv, 1)[0, 4].isnan().any()


@needs_kernel
def test_nothing_beyond_the_sequences_is_read() -> None:
    """Whole registers are loaded, of which some lanes lie beyond: what stands there must not matter."""
    qkv, (bias, regions) = _inputs(2, 21, 2, 48, seed=3), _added(21, 2, True, 2, seed=3)
    assert bias is not None
    assert regions is not None
    around = torch.full((4, *qkv.shape[1:]), math.nan, dtype=torch.bfloat16)
    around[1:3] = qkv
    around_bias = torch.full((4, *bias.shape[1:]), math.nan)
    around_bias[1:3] = bias
    around_regions = torch.full((4, 21), 7, dtype=torch.int32)
    around_regions[1:3] = regions
    expected = fused_attention(qkv, 2, bias, regions=regions)
    assert fused_attention(around[1:3], 2, around_bias[1:3], regions=around_regions[1:3]).equal(expected)


@needs_kernel
@pytest.mark.parametrize(("biased", "divisions"), [(False, 0), (True, 0), (True, 2)])
def test_the_number_of_threads_changes_no_bit(biased: bool, divisions: int) -> None:
    bias, regions = _added(30, 3, biased, divisions, seed=4)

    def run(threads: int) -> list[Tensor]:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            inputs = _learning(_inputs(80, 30, 3, 32, seed=4), bias)[0]
            out = fused_attention(inputs[0], 3, inputs[1] if biased else None, regions=regions)
            return [out.detach(), *torch.autograd.grad(out.float().square().sum(), inputs)]
        finally:
            torch.set_num_threads(before)

    assert all(one.equal(other) for one, other in zip(run(1), run(3), strict=True))


@needs_kernel
@pytest.mark.parametrize("biased", [False, True])
def test_torch_knows_its_shapes_and_gradients(biased: bool) -> None:
    bias, regions = _added(10, 2, biased, 2, seed=5)
    across = None if bias is None else bias.mT.contiguous().requires_grad_()
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    inputs = (_inputs(4, 10, 2, 16, seed=5).requires_grad_(), None, regions, across, 2)
    torch.library.opcheck(torch.ops.vitrail.attention.default, inputs, test_utils=checks)


@needs_kernel
@pytest.mark.parametrize("tokens", [10, 1030])
def test_a_compiled_model_takes_the_kernel_and_gives_the_same(tokens: int) -> None:
    qkv = _inputs(4, tokens, 2, 16, seed=6)
    called = []

    def remember(graph: torch.fx.GraphModule, _: list[Tensor]) -> torch.fx.GraphModule:
        called.extend(str(node.target) for node in graph.graph.nodes)
        return graph

    compiled = torch.compile(fused_qkv_attention, fullgraph=True, backend=remember)
    assert compiled(qkv, 2).equal(fused_qkv_attention(qkv, 2))
    assert any("vitrail.attention" in name for name in called)


@needs_kernel
def test_an_exported_model_needs_no_kernel() -> None:
    class Model(torch.nn.Module):
        def forward(self, qkv: Tensor) -> Tensor:
            return fused_qkv_attention(qkv, 2)

    program = torch.export.export(Model(), (_inputs(2, 10, 2, 16, seed=7),))
    assert "vitrail" not in str(program.graph)


@needs_kernel
def test_what_it_does_not_serve_goes_another_way_with_the_same_result() -> None:
    for head, dtype in ((16, torch.float32), (8, torch.bfloat16), (144, torch.bfloat16)):
        qkv = _inputs(2, 10, 2, head, seed=8).to(dtype)
        assert not is_supported(qkv, 2)
        assert _error(fused_qkv_attention(qkv, 2), _plain(qkv.double(), 2)) < 2 * TOLERANCE


@needs_kernel
def test_a_long_sequence_that_would_leave_threads_idle_goes_to_torch() -> None:
    qkv = _inputs(1, 1030, 2, 16, seed=9)
    with mock.patch("vitrail.layers.attention.fused_attention", side_effect=AssertionError("the kernel")):
        with mock.patch("vitrail.layers.attention.threads", return_value=3):
            fused_qkv_attention(qkv, 2)
        with mock.patch("vitrail.layers.attention.threads", return_value=2), pytest.raises(AssertionError):
            fused_qkv_attention(qkv, 2)


def _why_missing() -> str:
    with pytest.raises(Missing) as why:
        library.__wrapped__()
    return str(why.value)


def test_the_environment_can_turn_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VITRAIL_CPU_KERNEL", "0")
    assert "VITRAIL_CPU_KERNEL=0" in _why_missing()


def test_a_cpu_that_lacks_or_surpasses_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VITRAIL_CPU_KERNEL", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert "AVX512-BF16" in _why_missing()
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert "AMX" in _why_missing()


@needs_kernel
@pytest.mark.parametrize(("compiler", "says"), [(None, "install g++"), ("false", "could not compile")])
def test_without_a_working_compiler_it_says_so_and_leaves_nothing_behind(
    compiler: str | None, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    if compiler:
        monkeypatch.setenv("CXX", compiler)
    with mock.patch.object(attention_cpu.shutil, "which", return_value=None):
        assert says in _why_missing()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@needs_kernel
def test_without_a_place_to_keep_it_it_is_compiled_for_this_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    library.__wrapped__()
    monkeypatch.delenv("XDG_CACHE_HOME")
    with mock.patch.object(Path, "home", side_effect=RuntimeError("Could not determine home directory.")):
        assert "home" in _why_missing()


@needs_kernel
def test_a_compiler_may_be_named_with_its_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("CXX", "g++ -pipe")
    library.__wrapped__()


@needs_kernel
def test_it_is_compiled_once_and_then_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    library.__wrapped__()
    with mock.patch.object(kernel_cache.subprocess, "Popen", side_effect=AssertionError("compiled again")):
        library.__wrapped__()
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".so", ".json"}
