"""Fused attention of short sequences on CPUs that multiply bf16: compiled here, once, from the C++ file beside.

torch's own fused kernel is slow for a few hundred tokens, forward and above all backward; two matrix products with a
softmax between write every score to memory and lay heads out anew. The kernel does neither (docs/log.md has the
measurements). It is used where all of this holds; elsewhere `vitrail.layers.attention` takes another path:

- the CPU has AVX512-BF16 and not AMX, whose matrix products it would not use;
- a C++ compiler is at hand, the one that `torch.compile` needs too; the library is kept in ``~/.cache/vitrail``;
- the tokens are bf16, and the width of a head is a multiple of 16 up to 128;
- the environment does not say ``VITRAIL_CPU_KERNEL=0``.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitrail.layers.kernel_cache import NotKept, compiler_words, load_kept

SOURCE = Path(__file__).with_suffix(".cpp")
FLAGS = [
    *("-O3", "-std=c++17", "-fPIC", "-fopenmp", "-mtune=native"),
    *("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mavx512bf16"),
]
SWITCH = "VITRAIL_CPU_KERNEL"
HEAD_UNIT, WIDEST_HEAD = 16, 128

# Into how many pieces sequences, times heads, are split at least where the gradients of a bias are added up: their
# order must not depend on the number of threads.
PIECES = 64


class Missing(Exception):
    """Why there is no kernel here."""


@functools.cache
def library() -> ctypes.CDLL:
    """Return the compiled kernels, from the cache or after two seconds of compiling.

    Raises:
        Missing: this machine cannot have them; says why.
    """
    if os.environ.get(SWITCH) == "0":
        raise Missing(f"{SWITCH}=0 turns it off")
    if platform.system() != "Linux" or not torch.cpu._is_avx512_bf16_supported():
        raise Missing("the CPU has no AVX512-BF16")
    if torch.cpu._is_amx_tile_supported():
        raise Missing("the CPU has AMX, of which torch's own products make better use")
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")
    if compiler is None:
        raise Missing("no C++ compiler is at hand; install g++")
    try:
        words = compiler_words(compiler)
        return load_kept(_name(words), SOURCE, words, FLAGS, _folder())
    except NotKept as reason:
        raise Missing(str(reason)) from None
    except (OSError, RuntimeError) as error:  # the latter: a user without a home folder
        raise Missing(f"it could not be compiled and kept: {error}") from None


def _name(compiler: list[str]) -> str:
    """Name the library by all that it depends on."""
    made_of = SOURCE.read_bytes() + " ".join([*compiler, platform.node(), *FLAGS]).encode()
    return f"attention_cpu-{hashlib.sha256(made_of).hexdigest()[:16]}"


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vitrail"


@functools.cache
def why_missing() -> str:
    """Say why there is no kernel on this machine; nothing where there is one."""
    try:
        library()
    except Missing as reason:
        return str(reason)
    return ""


def ready() -> bool:
    """Whether there is a kernel on this machine."""
    return not why_missing()


def threads() -> int:
    """Return how many threads compute."""
    return torch.get_num_threads()


# A compiler asks once, and takes the answer for a constant; see `vitrail.layers.window_layout`.
for _asked_once in (ready, threads):
    _asked_once._dynamo_marked_constant = True  # type: ignore[attr-defined]


def is_supported(qkv: Tensor, heads: int) -> bool:
    """Whether the kernel can compute attention of queries, keys and values ``(B, T, 3 D)``, each of ``heads`` heads."""
    head = qkv.shape[-1] // 3 // heads
    return (
        qkv.device.type == "cpu"
        and qkv.dtype is torch.bfloat16
        and head % HEAD_UNIT == 0
        and head <= WIDEST_HEAD
        and not torch.compiler.is_exporting()
        and ready()
    )


def fused_attention(
    qkv: Tensor,
    heads: int,
    bias: Tensor | None = None,
    windows: Tensor | None = None,
    regions: Tensor | None = None,
) -> Tensor:
    """softmax(q k^T / sqrt(E) + bias) v for each head, in one kernel; `is_supported` must say that there is one.

    Args:
        qkv: ``(B, T, 3 D)`` in bf16: queries, keys and values of a token one behind the other, each head by head.
        heads: K, which divides D.
        bias: ``(K, N, N)`` in fp32, added to the scores. A weight is zero where it is minus infinity, but every
            query must be left a key.
        windows: ``(G, N)`` in int32: the tokens of each window of an image, which is a sequence of its own, negative
            for padding, zero; every token in one window. When absent all T tokens are one sequence.
        regions: ``(R, N)`` in int32: tokens of different regions do not attend to each other; sequence b has regions
            b modulo R.

    Returns:
        ``(B, T, D)`` in bf16.
    """
    # Keys by queries: the kernel holds the queries side by side in a register.
    across = None if bias is None else bias.transpose(-1, -2).contiguous()
    return torch.ops.vitrail.attention(qkv.contiguous(), windows, regions, across, heads)[0]


def _sizes(qkv: Tensor, windows: Tensor | None, regions: Tensor | None, heads: int) -> tuple[int, ...]:
    """Return images, their tokens, windows, tokens of each, heads, channels of a head, and kinds of regions."""
    batch, length, width = qkv.shape
    count, tokens = (1, length) if windows is None else windows.shape
    return batch, length, count, tokens, heads, width // 3 // heads, 1 if regions is None else regions.shape[0]


def _forward(
    qkv: Tensor, windows: Tensor | None, regions: Tensor | None, bias: Tensor | None, heads: int
) -> tuple[Tensor, Tensor]:
    """Return the result and the statistics ``(B * G, K, 2, N)`` that the backward pass needs."""
    out, statistics = _empty(qkv, windows, regions, bias, heads)
    _call("forward", (qkv, windows, regions, bias, out, statistics), _sizes(qkv, windows, regions, heads))
    return out, statistics


def _empty(
    qkv: Tensor, windows: Tensor | None, regions: Tensor | None, bias: Tensor | None, heads: int
) -> tuple[Tensor, Tensor]:
    batch, length, count, tokens, *_ = _sizes(qkv, windows, regions, heads)
    out = qkv.new_empty(batch, length, qkv.shape[2] // 3)
    return out, qkv.new_empty(batch * count, heads, 2, tokens, dtype=torch.float32)


def _backward(
    grad: Tensor,
    qkv: Tensor,
    windows: Tensor | None,
    regions: Tensor | None,
    bias: Tensor | None,
    out: Tensor,
    statistics: Tensor,
    heads: int,
    learns_bias: bool,
) -> tuple[Tensor, Tensor]:
    """Return the gradients of ``qkv`` and, where that is asked for, of ``bias``."""
    sizes = _sizes(qkv, windows, regions, heads)
    batch, _, count, tokens, *_ = sizes
    pieces = min(batch * count, -(-PIECES // heads)) if learns_bias else batch * count
    qkv_grad = torch.empty_like(qkv)
    bias_grad = qkv.new_zeros((pieces, heads, tokens, tokens) if learns_bias else 0, dtype=torch.float32)
    given = (qkv, windows, regions, bias, out, statistics, grad.contiguous())
    _call("backward", (*given, qkv_grad, bias_grad if learns_bias else None), (*sizes, pieces))
    return qkv_grad, bias_grad.sum(dim=0)


def _empty_gradients(
    grad: Tensor,
    qkv: Tensor,
    windows: Tensor | None,
    regions: Tensor | None,
    bias: Tensor | None,
    out: Tensor,
    statistics: Tensor,
    heads: int,
    learns_bias: bool,
) -> tuple[Tensor, Tensor]:
    shape = bias.shape if learns_bias and bias is not None else ()
    return torch.empty_like(qkv), qkv.new_empty(shape, dtype=torch.float32)


def _call(which: str, tensors: tuple[Tensor | None, ...], sizes: tuple[int, ...]) -> None:
    addresses = (ctypes.c_void_p(None if tensor is None else tensor.data_ptr()) for tensor in tensors)
    numbers = map(ctypes.c_int64, (*sizes, threads()))
    getattr(library(), f"vitrail_attention_{which}")(*addresses, *numbers)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, ctx.heads = inputs
    ctx.save_for_backward(*tensors, *output)
    ctx.set_materialize_grads(False)


def _differentiate(ctx: Any, grad: Tensor | None, _: Tensor | None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return None, None, None, None, None
    learns_bias = ctx.needs_input_grad[3]
    qkv_grad, bias_grad = torch.ops.vitrail.attention_backward(grad, *ctx.saved_tensors, ctx.heads, learns_bias)
    return qkv_grad, None, None, bias_grad if learns_bias else None, None


def _register(name: str, compute: Callable[..., Any], shapes: Callable[..., Any]) -> None:
    """Tell torch and its compiler of an operator: how it is computed on a CPU, and the shapes of what it returns.

    ``torch.library.custom_op`` would import the compiler at the first call, of an eager model too: seconds of waiting.
    """
    torch.library.define(name, torch.library.infer_schema(compute, mutates_args=()))
    torch.library.impl(name, "cpu", compute)
    torch.library.register_fake(name, shapes)


_register("vitrail::attention", _forward, _empty)
_register("vitrail::attention_backward", _backward, _empty_gradients)
torch.library.register_autograd("vitrail::attention", _differentiate, setup_context=_keep)
