import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.layers.loops import attention_by_loops, cuts
from vitrail.layers import window_attention, window_layout
from vitrail.layers.attention_cpu import ready
from vitrail.layers.relative_position import offset_array, resize_bias_table, square_grid
from vitrail.layers.window_attention import WindowAttention
from vitrail.layers.window_layout import (
    Partition,
    fit_windows,
    merge,
    move,
    regions,
    row_major,
    token_index,
)


def noise(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def filled(attention: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in attention.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return attention


def on_map(attention: WindowAttention, image: Tensor, partition: Partition) -> Tensor:
    """Run window attention on maps ``(B, h, w, D)``."""
    batch, h, w, width = image.shape
    tokens = move(image.reshape(batch, h * w, width), row_major(h, w), partition)
    return move(attention(tokens, partition), partition, row_major(h, w)).view(image.shape)


partitions = st.builds(
    lambda h, w, window_h, window_w, shift_h, shift_w: Partition(
        h, w, window_h, window_w, shift_h % window_h if h > window_h else 0, shift_w % window_w if w > window_w else 0
    ),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(0, 4),
    st.integers(0, 4),
)


@settings(max_examples=60, deadline=None)
@given(partitions, st.booleans(), st.booleans(), st.integers(0, 10**6))
def test_attention_equals_loops_over_the_windows_of_the_paper(partition, bias, appearance, seed):
    attention = filled(WindowAttention(8, 2, partition[2:4], bias=bias, appearance=appearance).double(), seed)
    image = noise(2, partition.h, partition.w, 8, dtype=torch.float64)
    expected = torch.stack([attention_by_loops(attention, one, partition) for one in image])
    torch.testing.assert_close(on_map(attention, image, partition), expected, rtol=1e-10, atol=1e-10)


@settings(max_examples=60, deadline=None)
@given(partitions, st.booleans(), st.booleans(), st.integers(0, 10**6))
def test_the_fast_way_computes_what_the_steps_of_the_paper_do(partition, bias, appearance, seed):
    attention = filled(WindowAttention(8, 2, partition[2:4], bias=bias, appearance=appearance).double(), seed)
    image = noise(2, partition.h, partition.w, 8, dtype=torch.float64)
    weight = noise(2, partition.h, partition.w, 8, seed=2, dtype=torch.float64)
    results = [on_map(attention, image, partition), attention.plain_forward(image, partition)]
    torch.testing.assert_close(*results, rtol=1e-10, atol=1e-10)
    learned = list(attention.parameters())
    fast, plain = (torch.autograd.grad((result * weight).sum(), learned, allow_unused=True) for result in results)
    for mine, theirs in zip(fast, plain, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-10)


@pytest.mark.skipif(not ready(), reason="this CPU has no kernel of its own")
@pytest.mark.parametrize("partition", [Partition(8, 8, 4, 4, 2, 2), Partition(9, 7, 4, 4, 2, 2), Partition(3, 3, 4, 4)])
@torch.no_grad()
def test_the_kernel_computes_what_the_steps_of_the_paper_do(partition):
    attention = filled(WindowAttention(32, 2, partition[2:4]))
    for parameter in attention.parameters():
        parameter.mul_(0.2)
    image = noise(2, partition.h, partition.w, 32)
    exact = attention.plain_forward(image, partition)
    half = on_map(attention.bfloat16(), image.bfloat16(), partition).float()
    assert (half - exact).norm() < 0.02 * exact.norm()


def test_a_window_smaller_than_the_bias_table_uses_its_middle():
    partition = Partition(6, 4, 3, 2)
    attention = filled(WindowAttention(8, 2, (5, 4)).double())
    image = noise(1, 6, 4, 8, dtype=torch.float64)
    expected = attention_by_loops(attention, image[0], partition)
    torch.testing.assert_close(on_map(attention, image, partition)[0], expected, rtol=1e-10, atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(partitions)
def test_no_gradient_crosses_a_window_or_the_seam_of_the_shift(partition):
    h, w = partition.h, partition.w
    attention = filled(WindowAttention(4, 1, partition[2:4]))
    image = noise(1, h, w, 4).requires_grad_()
    result = on_map(attention, image, partition)
    ys, xs = cuts(h, partition.window_h, partition.shift_h)[-1], cuts(w, partition.window_w, partition.shift_w)[-1]
    result[:, ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1].square().sum().backward()
    reached = image.grad.abs().sum(-1)[0] > 0
    expected = torch.zeros(h, w, dtype=torch.bool)
    expected[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1] = True
    assert reached.equal(expected)


@settings(max_examples=30, deadline=None)
@given(partitions, st.floats(-1e4, 1e4, width=32))
def test_what_stands_in_the_padding_changes_nothing_inside(partition, value):
    attention = filled(WindowAttention(4, 2, partition[2:4]))
    tokens = noise(2, partition.slots, 4)
    real = torch.from_numpy(token_index(partition) < partition.h * partition.w)
    other = torch.where(real[:, None], tokens, torch.tensor(value))
    assert attention(tokens, partition)[:, real].equal(attention(other, partition)[:, real])


def test_padding_leaves_no_trace_in_the_gradients_of_the_weights():
    partition = Partition(5, 4, 3, 3, 1, 1)
    attention = filled(WindowAttention(4, 2, (3, 3)))
    real = torch.from_numpy(token_index(partition) < 20)
    grads = []
    for value in (0.0, 50.0):
        attention.zero_grad()
        tokens = torch.where(real[:, None], torch.linspace(-1, 1, 4), torch.tensor(value)).unsqueeze(0)
        attention(tokens, partition)[:, real].square().sum().backward()
        grads.append([p.grad.clone() for p in attention.parameters()])
    for a, b in zip(*grads, strict=True):
        assert a.equal(b)


@settings(max_examples=60, deadline=None)
@given(partitions, st.integers(0, 4), st.integers(0, 4))
def test_moving_there_and_back_changes_nothing(partition, shift_h, shift_w):
    h, w = partition.h, partition.w
    other = partition._replace(shift_h=shift_h % partition.window_h, shift_w=shift_w % partition.window_w)
    tokens = torch.arange(1.0, h * w + 1).view(1, -1, 1)
    there = move(tokens, row_major(h, w), partition)
    assert there[0, :, 0].tolist() == [p + 1 if p < h * w else 0 for p in token_index(partition)]
    assert move(there, partition, row_major(h, w)).equal(tokens)
    assert move(move(there, partition, other), other, row_major(h, w)).equal(tokens)


def test_gradients_of_moving_and_merging_are_those_of_indexing():
    fine, merged = Partition(5, 7, 3, 3, 1, 1), Partition(3, 4, 2, 3)
    tokens = noise(2, fine.slots, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: move(t, fine, row_major(5, 7)), tokens)
    assert torch.autograd.gradcheck(lambda t: move(t, fine, fine._replace(shift_h=0)), tokens)
    assert torch.autograd.gradcheck(lambda t: merge(t, fine, merged), tokens)
    assert torch.autograd.gradgradcheck(lambda t: merge(t, fine, merged).square(), tokens)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.integers(1, 4), st.integers(1, 4))
def test_merging_joins_squares_column_by_column_and_fills_odd_edges_with_zeros(h, w, window_h, window_w):
    image = noise(2, h, w, 3)
    fine, merged = fit_windows(h, w, (3, 2))[1], Partition(-(-h // 2), -(-w // 2), window_h, window_w)
    padded = nn.functional.pad(image, (0, 0, 0, w % 2, 0, h % 2))
    corners = [padded[:, dy::2, dx::2] for dx in (0, 1) for dy in (0, 1)]
    expected = torch.cat(corners, dim=-1).flatten(1, 2)
    joined = merge(move(image.flatten(1, 2), row_major(h, w), fine), fine, merged)
    assert move(joined, merged, row_major(merged.h, merged.w)).equal(expected)


def test_regions_are_those_of_the_papers_figure_4():
    # A 4 x 4 map, windows of 2, shift 1: only the last row and column of windows are mixed.
    region = regions(Partition(4, 4, 2, 2, 1, 1))
    assert region.tolist() == [[0, 0, 0, 0], [0, 1, 0, 1], [0, 0, 2, 2], [0, 1, 2, 3]]


def test_the_published_sizes_need_no_padding_and_shift_by_half_a_window():
    for side, window in ((56, 7), (28, 7), (14, 7), (96, 12), (48, 12), (24, 12)):
        regular, shifted = fit_windows(side, side, (window, window))
        assert not regular.needs_mask
        assert not shifted.padded
        assert shifted[4:] == (window // 2, window // 2)
    assert fit_windows(7, 7, (7, 7))[1].needs_mask is False


def test_shrinking_follows_microsofts_rule():
    assert fit_windows(6, 6, (7, 7), shrink=True) == (Partition(6, 6, 6, 6),) * 2
    assert fit_windows(7, 14, (7, 7), shrink=True) == (Partition(7, 14, 7, 7),) * 2
    assert fit_windows(5, 14, (7, 7), shrink=True) == (Partition(5, 14, 5, 5),) * 2
    assert fit_windows(8, 14, (7, 7), shrink=True) == fit_windows(8, 14, (7, 7))


def test_windows_cover_a_map_along_one_axis_and_are_shifted_along_the_other():
    assert fit_windows(7, 14, (7, 7))[1] == Partition(7, 14, 7, 7, 0, 3)


def test_observed_weights_are_those_of_the_result_and_add_up_to_one():
    partition = Partition(5, 4, 3, 3, 1, 1)
    attention = filled(WindowAttention(8, 2, (3, 3)))
    tokens = noise(2, partition.slots, 8)
    plain = attention(tokens, partition)
    seen = []
    attention.observe = seen.append
    assert attention(tokens, partition).equal(plain)
    weights = seen[0].view(2 * partition.windows, 2, 9, 9)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2 * partition.windows, 2, 9))
    apart = regions(partition)[:, :, None] != regions(partition)[:, None, :]
    forbidden = torch.from_numpy(apart).repeat(2, 1, 1).unsqueeze(1).expand_as(weights)
    assert weights[forbidden].abs().max() == 0


def test_the_fused_path_of_other_devices_gives_the_same(monkeypatch):
    from vitrail.layers import attention as paths

    partition = Partition(5, 8, 3, 4, 1, 2)
    attention = filled(WindowAttention(8, 2, (3, 4))).eval()
    tokens = noise(2, partition.slots, 8)
    plain = attention(tokens, partition)
    monkeypatch.setattr(paths, "PLAIN_ON_CPU_UP_TO", 0)
    torch.testing.assert_close(attention(tokens, partition), plain, rtol=1e-5, atol=1e-5)


def test_tables_first_needed_in_inference_serve_training():
    window_layout._remembered.clear()
    partition = Partition(4, 4, 3, 3, 1, 1)
    attention = WindowAttention(8, 2, (3, 3))
    with torch.inference_mode():
        attention(noise(1, partition.slots, 8), partition)
    attention(noise(1, partition.slots, 8), partition).sum().backward()
    assert attention.relative_position_bias_table.grad is not None


def test_remembered_tables_are_bounded_and_forgetting_them_changes_nothing(monkeypatch):
    monkeypatch.setattr(window_layout, "REMEMBERED", 3)
    window_layout._remembered.clear()
    attention = WindowAttention(8, 2, (3, 3)).eval()
    maps = [noise(1, side, side, 8) for side in (4, 5, 6, 4, 5, 6)]
    results = [on_map(attention, image, fit_windows(*image.shape[1:3], (3, 3))[1]) for image in maps]
    assert len(window_layout._remembered) <= 3
    window_layout._remembered.clear()
    for image, result in zip(reversed(maps), reversed(results), strict=True):
        assert on_map(attention, image, fit_windows(*image.shape[1:3], (3, 3))[1]).equal(result)


def test_a_tracers_tensors_are_not_remembered():
    from torch._subclasses.fake_tensor import FakeTensorMode

    window_layout._remembered.clear()
    with FakeTensorMode(allow_non_fake_inputs=True):
        move(noise(1, 16, 2), row_major(4, 4), Partition(4, 4, 2, 2))
    assert all(type(tensor) is Tensor for tensor in window_layout._remembered.values())
    assert type(move(noise(1, 16, 2), row_major(4, 4), Partition(4, 4, 2, 2))) is Tensor


def test_a_bias_row_is_numbered_by_its_offset():
    index = offset_array((2, 3))
    positions = [(y, x) for y in range(2) for x in range(3)]
    for i, (qy, qx) in enumerate(positions):
        for j, (ky, kx) in enumerate(positions):
            assert index[i, j] == (qy - ky + 1) * 5 + (qx - kx + 2)
    assert np.unique(index).size == 15


def test_a_bias_table_is_resized_as_published_and_kept_where_nothing_changes():
    table = noise(13 * 13, 3)
    assert resize_bias_table(table, (7, 7), (7, 7)) is table
    resized = resize_bias_table(table, (7, 7), (12, 12))
    image = nn.functional.interpolate(table.T.view(1, 3, 13, 13), size=(23, 23), mode="bicubic", align_corners=False)
    torch.testing.assert_close(resized, image.view(3, -1).T)
    assert resize_bias_table(torch.full((5 * 9, 2), 3.0), (3, 5), (7, 2)).sub(3).abs().max() < 1e-5


@pytest.mark.parametrize(("rows_", "window"), [(169, (7, 7)), (529, (12, 12)), (1, (1, 1)), (15, None), (16, None)])
def test_only_odd_squares_of_rows_belong_to_a_square_window(rows_, window):
    assert square_grid(torch.zeros(rows_, 1)) == window


@pytest.mark.parametrize(
    "table", [window_layout.barrier_table, window_attention._bias_rows, window_attention._bias_choice]
)
def test_compilers_that_know_no_constants_can_make_the_tables_in_the_graph(table):
    numbers = (5, 7, 4, 4, 2, 2) if table is window_layout.barrier_table else (3, 4, 4, 4)
    make = table.__wrapped__
    torch.compiler.reset()
    made = torch.compile(lambda x: x + torch.from_numpy(make(*numbers)), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(made(torch.zeros(1)).float(), table("cpu", *numbers).float())
