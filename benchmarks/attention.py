"""Ways to compute attention on a CPU, from queries, keys and values as a linear layer leaves them to the mixed tokens.

    python benchmarks/attention.py

torch's own kernel, two plain matrix products with a softmax between, and the kernel of `vitrail.layers.attention_cpu`,
which is left out where it cannot be had. One run, interleaved; median milliseconds, forward alone and with the backward
pass. Use no other load on the machine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from timing import Run, interleave
from torch import Tensor

from vitrail.layers.attention import merge_heads, plain_attention, split_heads
from vitrail.layers.attention_cpu import fused_attention, is_supported, why_missing
from vitrail.training.precision import keep_large_buffers

# Sequences, tokens, heads, channels of a head.
SHAPES = {
    "ViT-Ti, 64 images of 160 pixels": (64, 101, 3, 64),
    "MAE's decoder, 16 images of 224 pixels": (16, 197, 16, 32),
    "Swin-T's first windows, 16 images of 224 pixels": (1024, 49, 3, 32),
    "ViT-S, 2 images of 512 pixels": (2, 1025, 6, 64),
    "ViT-S, one image of 1024 pixels": (1, 4097, 6, 64),
}
ROUNDS = 9

Path = Callable[[Tensor, int], Tensor]


def torchs(qkv: Tensor, heads: int) -> Tensor:
    return merge_heads(F.scaled_dot_product_attention(*split_heads(qkv, heads)), heads)


def plain(qkv: Tensor, heads: int) -> Tensor:
    q, k, v = (part.contiguous() for part in split_heads(qkv, heads))
    return merge_heads(plain_attention(q, k, v)[0], heads)


def forward(path: Path, qkv: Tensor, heads: int) -> None:
    with torch.no_grad():
        path(qkv, heads)


def both(path: Path, qkv: Tensor, heads: int) -> None:
    out = path(qkv, heads)
    out.backward(torch.ones_like(out))


def main() -> None:
    keep_large_buffers()
    print(f"vitrail's kernel: {why_missing() or 'ready'}")
    for dtype in (torch.bfloat16, torch.float32):
        for name, (batch, tokens, heads, head) in SHAPES.items():
            qkv = torch.randn(batch, tokens, 3 * heads * head, dtype=dtype, requires_grad=True)
            paths: dict[str, Path] = {"torch's kernel": torchs, "plain products": plain}
            if is_supported(qkv, heads):
                paths["vitrail's kernel"] = fused_attention
            runs: dict[str, Run] = {}
            for way, path in paths.items():
                runs[f"{way}, forward"] = functools.partial(forward, path, qkv, heads)
                runs[f"{way}, both"] = functools.partial(both, path, qkv, heads)
            for run in runs.values():
                run()
            taken = interleave(runs, ROUNDS, dtype, "cpu")
            print(f"{name}, {dtype}")
            for run in runs:
                print(f"  {run:28} {taken.median(run) * 1e3:8.2f} ms", flush=True)


if __name__ == "__main__":
    main()
