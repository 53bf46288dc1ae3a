"""The fused attention kernel against two plain matrix products on a CPU, and the speed of a large product.

python benchmarks/attention.py
"""

import statistics
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from vitrail.layers.attention import plain_attention

SHAPE = (64, 3, 101, 64)  # pictures, heads, tokens (a picture of 160 pixels), channels of a head
ROUNDS = 9


def medians(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Time each work once a round, one after the other, and return median seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(ROUNDS + 1):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return attention by two products."""
    return plain_attention(q, k, v)[0]


def forward(path: Callable[..., Tensor], parts: list[Tensor]) -> Tensor:
    """Attend without keeping anything for a backward pass."""
    with torch.no_grad():
        return path(*parts)


def main() -> None:
    """Print seconds for each path, with and without its backward pass."""
    for dtype in (torch.float32, torch.bfloat16):
        parts = [torch.randn(SHAPE, dtype=dtype, requires_grad=True) for _ in range(3)]
        square = torch.randn(2048, 2048, dtype=dtype)
        works: dict[str, Callable[[], object]] = {"product": lambda square=square: square @ square}
        for name, path in (("fused", F.scaled_dot_product_attention), ("plain", plain)):
            works[f"{name} forward"] = lambda path=path, parts=parts: forward(path, parts)
            works[f"{name} both"] = lambda path=path, parts=parts: path(*parts).sum().backward()
        times = medians(works)
        print(f"{dtype}: {2 * 2048**3 / times.pop('product') / 1e9:.0f} GFLOP/s", flush=True)
        for name, seconds in times.items():
            print(f"  {name:<15} {seconds:.4f} s", flush=True)


if __name__ == "__main__":
    main()
