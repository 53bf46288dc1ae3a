"""Windows of a map: which token stands where, and how tokens move from one layout to another.

Tokens are kept in *window order*, ``(B, T, D)``: window after window, row by row inside each. Going from one way
of cutting to another (the next block's shifted windows, the merged map of the next stage, plain rows) is then a
single gather, where shifting, cutting, joining and shifting back would be four copies. In a compiled model it is
no copy at all. Where windows reach beyond the map tokens are kept row by row instead, and cut into windows between
queries, keys, values and their products, so that padding costs nothing but those.
"""

from __future__ import annotations

import functools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

# Index tables and masks of this many (size, window, shift, device) stay in memory; one image size of a model
# with four stages needs about 25. They hold no weights, so forgetting or keeping them cannot change a result.
REMEMBERED = 512

# Whether a compiler can tell several constant tensors of one graph apart (torch.compiler.assume_constant_result).
MANY_CONSTANTS = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 15)


class Partition(NamedTuple):
    """A map cut into windows that are displaced by a shift (Swin, section 3.2).

    Windows begin at the shift; what lies before it joins the last windows (the cyclic shift of figure 4), and is
    kept apart from its new neighbours by `vitrail.layers.window_attention.WindowAttention`. Where windows reach beyond
    the map, their slots are padding.

    Attributes:
        h, w: size of the map, in tokens.
        window_h, window_w: size of a window, M, in tokens.
        shift_h, shift_w: displacement of the windows, in tokens, each less than the window.
    """

    h: int
    w: int
    window_h: int
    window_w: int
    shift_h: int = 0
    shift_w: int = 0

    @property
    def counts(self) -> tuple[int, int]:
        """Windows from top to bottom and from left to right."""
        return -(-self.h // self.window_h), -(-self.w // self.window_w)

    @property
    def covered(self) -> tuple[int, int]:
        """Height and width that the windows cover: the map and its padding."""
        return self.counts[0] * self.window_h, self.counts[1] * self.window_w

    @property
    def windows(self) -> int:
        """Number of windows, G."""
        return self.counts[0] * self.counts[1]

    @property
    def area(self) -> int:
        """Slots of one window, A."""
        return self.window_h * self.window_w

    @property
    def slots(self) -> int:
        """Length of a token sequence in this order, T: all tokens of the map and the padding."""
        return self.windows * self.area

    @property
    def padded(self) -> bool:
        """Whether there is padding."""
        return self.slots > self.h * self.w

    @property
    def needs_mask(self) -> bool:
        """Whether some window holds slots that must not attend to each other."""
        return self.padded or self.shift_h > 0 or self.shift_w > 0

    @property
    def layout(self) -> Partition:
        """The layout of tokens outside attention: this one, or row-major where padding would come along."""
        return row_major(self.h, self.w) if self.padded else self


def row_major(h: int, w: int) -> Partition:
    """Return the row-major layout of a map, as a partition into single rows."""
    return Partition(h, w, 1, w)


def token_index(partition: Partition) -> NDArray[np.int64]:
    """Return what each slot holds, ``(T,)``: the row-major number of a token, or from ``h * w`` on for padding.

    A padding slot has the same number in all partitions that cover the same area, so that padding moves to padding.
    """
    h, w = partition.h, partition.w
    y, x = _coordinates(partition)
    height, width = partition.covered
    y, x = y % height, x % width
    padding = h * w + y * width + x
    return _cut(np.where((y < h) & (x < w), y * w + x, padding), partition).reshape(-1)


def regions(partition: Partition) -> NDArray[np.int64]:
    """Return to which region of its window each slot belongs, ``(G, A)``; only equal ones attend to each other.

    0 is the ordinary region, 1 to 3 hold tokens that the cyclic shift carried over horizontally, vertically or
    both (Swin, figure 4), -1 is padding.
    """
    height, width = partition.covered
    y, x = _coordinates(partition)
    carried = 2 * (y >= height) + (x >= width)
    inside = (y % height < partition.h) & (x % width < partition.w)
    return _cut(np.where(inside, carried, -1), partition)


def _coordinates(partition: Partition) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row ``(H, 1)`` and column ``(1, W)`` of the shifted windows' slots, before the cyclic shift."""
    height, width = partition.covered
    return np.arange(height)[:, None] + partition.shift_h, np.arange(width)[None, :] + partition.shift_w


def _cut(grid: NDArray[np.int64], partition: Partition) -> NDArray[np.int64]:
    """Cut a grid of the covered size into windows, ``(G, A)``."""
    (count_h, count_w), (_, _, window_h, window_w, *_) = partition.counts, partition
    windows = grid.reshape(count_h, window_h, count_w, window_w).transpose(0, 2, 1, 3)
    return windows.reshape(partition.windows, partition.area)


_remembered: OrderedDict[tuple[Any, ...], Tensor] = OrderedDict()


def constant_table(make: Callable[..., NDArray[Any]]) -> Callable[..., Tensor]:
    """Turn a function of whole numbers that makes an array into one that gives it as a tensor, remembered.

    The new function takes the name of a device before the numbers. Compilers take its result as a constant of
    the graph; that is also why it takes numbers, not a `Partition`. Before torch 2.15 a graph may have one such
    constant alone, and the array is made in the graph.
    """

    @functools.wraps(make)
    def tensor(device: str, *numbers: int) -> Tensor:
        key = (make.__name__, device, *numbers)
        if key in _remembered:
            _remembered.move_to_end(key)
            return _remembered[key]
        with torch.inference_mode(False):  # else a table first needed in inference could not be used in training
            made = torch.from_numpy(make(*numbers)).to(device)
        if type(made) is Tensor:  # a tracer's own kind of tensor belongs to its trace
            _remembered[key] = made
            if len(_remembered) > REMEMBERED:
                _remembered.popitem(last=False)
        return made

    @functools.wraps(make)
    def traced(device: str, *numbers: int) -> Tensor:
        if torch.compiler.is_compiling():
            return torch.from_numpy(make(*numbers)).to(device)
        return tensor(device, *numbers)

    if not MANY_CONSTANTS:
        return traced
    # All that torch.compiler.assume_constant_result does, but for importing the compiler: 4 s for who needs none.
    tensor._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return tensor


def _find(wanted: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where each of ``wanted`` stands in ``among``, -1 where it does not (and for -1 itself)."""
    where = np.full(max(wanted.max(), among.max()) + 2, -1)
    where[among] = np.arange(len(among))
    where[-1] = -1
    return where[wanted]


@constant_table
def _moving(*numbers: int) -> NDArray[np.int64]:
    """Slots of one partition in which the slots of another, given second, find what they hold."""
    source, target = Partition(*numbers[:6]), Partition(*numbers[6:])
    return _find(token_index(target), token_index(source))


@constant_table
def window_members(*numbers: int) -> NDArray[np.int32]:
    """Slots of one partition that the windows of another, given second, hold, ``(G, A)``; negative for padding."""
    source, target = Partition(*numbers[:6]), Partition(*numbers[6:])
    return _find(token_index(target), token_index(source)).reshape(target.windows, target.area).astype(np.int32)


def _quads(fine: Partition, merged: Partition) -> NDArray[np.int64]:
    """Return the tokens of the fine map that each slot of the merged one joins, ``(4 T,)``, -1 for none.

    In the order (0, 0), (1, 0), (0, 1), (1, 1) of row and column inside the 2 x 2 square, as in all published
    weights.
    """
    number = token_index(merged)[:, None]
    y = 2 * (number // merged.w) + np.array([0, 1, 0, 1])
    x = 2 * (number % merged.w) + np.array([0, 0, 1, 1])
    exists = (number < merged.h * merged.w) & (y < fine.h) & (x < fine.w)
    return np.where(exists, y * fine.w + x, -1).reshape(-1)


@constant_table
def _merging(*numbers: int) -> NDArray[np.int64]:
    """Slots of a fine partition that each slot of a merged one, given second, joins; four for each."""
    fine, merged = Partition(*numbers[:6]), Partition(*numbers[6:])
    return _find(_quads(fine, merged), token_index(fine))


@constant_table
def _unmerging(*numbers: int) -> NDArray[np.int64]:
    """The inverse of `_merging`: where each slot of the fine partition went."""
    fine, merged = Partition(*numbers[:6]), Partition(*numbers[6:])
    return _find(token_index(fine), _quads(fine, merged))


@constant_table
def region_table(*numbers: int) -> NDArray[np.int32]:
    """What `regions` says, ``(G, A)``."""
    return regions(Partition(*numbers)).astype(np.int32)


@constant_table
def barrier_table(*numbers: int) -> NDArray[np.float32]:
    """Minus infinity for two slots of a window that belong to different regions, else 0: ``(G, A, A)``."""
    region = regions(Partition(*numbers))
    return np.where(region[:, :, None] == region[:, None, :], 0.0, -np.inf).astype(np.float32)


class _Gather(torch.autograd.Function):
    """Gather along dimension 1 whose gradient is a gather too.

    Every token goes to one place at most, so nothing has to be added up on the way back: faster than the gradient
    of an ordinary gather, and with the same result in every run on a GPU.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(tokens: Tensor, index: Tensor, inverse: Tensor, holes: bool, lost: bool) -> Tensor:
        return _gather(tokens, index, holes)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, _, inverse, _, ctx.lost = inputs
        ctx.save_for_backward(inverse)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (inverse,) = ctx.saved_tensors
        return _gather(grads[0], inverse, ctx.lost), None, None, None, None


def _gather(tokens: Tensor, index: Tensor, holes: bool) -> Tensor:
    """Take tokens ``(B, T, D)`` at ``index`` ``(S,)``, zero where it is negative: ``(B, S, D)``."""
    batch, count, width = tokens.shape
    found = index.clamp(min=0) if holes else index
    # Over all images at once: copying whole rows, five times as fast on a CPU as a gather along dimension 1.
    start = torch.arange(batch, device=tokens.device).unsqueeze(1) * count
    taken = tokens.reshape(batch * count, width).index_select(0, (start + found).view(-1))
    taken = taken.view(batch, len(index), width)
    return taken.masked_fill((index < 0).unsqueeze(1), 0.0) if holes else taken


def move(tokens: Tensor, source: Partition, target: Partition) -> Tensor:
    """Bring tokens ``(B, T, D)`` from the order of one partition of a map into that of another.

    Padding that has no counterpart is zero.
    """
    if source == target:
        return tokens
    if torch.compiler.is_compiling():
        return _move_in_view(tokens, source, target)
    device = str(tokens.device)
    index, inverse = _moving(device, *source, *target), _moving(device, *target, *source)
    same_padding = source.covered == target.covered
    holes, lost = target.padded and not same_padding, source.padded and not same_padding
    return _Gather.apply(tokens, index, inverse, holes, lost)  # type: ignore[return-value]


def merge(tokens: Tensor, fine: Partition, merged: Partition) -> Tensor:
    """Join each 2 x 2 square of tokens into one: ``(B, T, D)`` to ``(B, T', 4 D)`` (Swin, section 3.1).

    Args:
        tokens: in the order of ``fine``.
        fine: a partition of the map.
        merged: the partition of the map of half the size, rounded up, in whose order the result is wanted.

    Returns:
        The four tokens one behind the other, zero where an odd map ends inside a square.
    """
    if torch.compiler.is_compiling():
        return _merge_in_view(tokens, fine, merged)
    device = str(tokens.device)
    index, inverse = _merging(device, *fine, *merged), _unmerging(device, *fine, *merged)
    holes = 4 * merged.slots > fine.h * fine.w
    joined = _Gather.apply(tokens, index, inverse, holes, fine.padded)
    return joined.view(tokens.shape[0], merged.slots, -1)  # type: ignore[union-attr]


# A compiler is told the same moves as views and rolls: it works out where each token stands, and reads it from there
# in the next operation, which is up to four times as fast as looking its place up in a table.


def _move_in_view(tokens: Tensor, source: Partition, target: Partition) -> Tensor:
    """Do what `move` does; see there."""
    if source.covered == target.covered:
        shift = (source.shift_h - target.shift_h, source.shift_w - target.shift_w)
        return _to_windows(_rolled(_from_windows(tokens, source), *shift), target)
    image = _rolled(_from_windows(tokens, source), source.shift_h, source.shift_w)
    return _lay_out(image[:, : source.h, : source.w], target)


def _merge_in_view(tokens: Tensor, fine: Partition, merged: Partition) -> Tensor:
    """Do what `merge` does; see there."""
    image = _rolled(_from_windows(tokens, fine), fine.shift_h, fine.shift_w)[:, : fine.h, : fine.w]
    image = _padded(image, 2 * merged.h, 2 * merged.w)
    squares = image.unflatten(1, (merged.h, 2)).unflatten(3, (merged.w, 2))
    return _lay_out(squares.permute(0, 1, 3, 4, 2, 5).flatten(3), merged)


def _lay_out(image: Tensor, partition: Partition) -> Tensor:
    """Cut a map ``(B, h, w, D)`` into windows, padding it with zeros where they reach beyond: ``(B, T, D)``."""
    return _to_windows(_rolled(_padded(image, *partition.covered), -partition.shift_h, -partition.shift_w), partition)


def _from_windows(tokens: Tensor, partition: Partition) -> Tensor:
    """Put windows ``(B, T, D)`` side by side: ``(B, H, W, D)`` of the covered size, still shifted."""
    windows = tokens.unflatten(1, (*partition.counts, partition.window_h, partition.window_w))
    return windows.transpose(2, 3).reshape(tokens.shape[0], *partition.covered, -1)


def _to_windows(image: Tensor, partition: Partition) -> Tensor:
    """Invert `_from_windows`."""
    (count_h, count_w), (_, _, window_h, window_w, *_) = partition.counts, partition
    windows = image.view(image.shape[0], count_h, window_h, count_w, window_w, -1).transpose(2, 3)
    return windows.reshape(image.shape[0], partition.slots, -1)


def _rolled(image: Tensor, down: int, right: int) -> Tensor:
    return image.roll((down, right), dims=(1, 2)) if down or right else image


def _padded(image: Tensor, height: int, width: int) -> Tensor:
    """Pad a map ``(B, h, w, D)`` with zeros at the bottom and right."""
    bottom, right = height - image.shape[1], width - image.shape[2]
    return F.pad(image, (0, 0, 0, right, 0, bottom)) if bottom or right else image


def fit_windows(h: int, w: int, window: tuple[int, int], shrink: bool = False) -> tuple[Partition, Partition]:
    """Return how the blocks of a stage cut its map: the regular windows, and the shifted ones.

    The shift is half a window, rounded down (Swin, section 3.2), and 0 along an axis that one window covers.

    Args:
        h, w: size of the map, in tokens.
        window: wanted size of a window.
        shrink: do as Microsoft's code does: a map that a window covers along either axis gets windows that are no
            larger than its shorter side, and no shift at all.
    """
    window_h, window_w = window
    side = min(h, w)
    if shrink and (h <= window_h or w <= window_w):
        whole = Partition(h, w, min(window_h, side), min(window_w, side))
        return whole, whole
    shift_h, shift_w = window_h // 2 if h > window_h else 0, window_w // 2 if w > window_w else 0
    return Partition(h, w, window_h, window_w), Partition(h, w, window_h, window_w, shift_h, shift_w)
