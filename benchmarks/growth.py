"""Seconds of a forward pass over images of growing size: a Swin, whose cost grows with the pixels, beside a ViT.

Both run eagerly on one image in bf16; rounds are interleaved, and the fastest of them counts.

    python benchmarks/growth.py
"""

from __future__ import annotations

import argparse
import time

import torch

from vitrail.heads.names import build_model
from vitrail.models.growth import growth
from vitrail.training.precision import keep_large_buffers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=["swin_t", "vit_s16"])
    parser.add_argument("--sizes", type=int, nargs="*", default=[224, 448, 672, 896, 1120])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    keep_large_buffers()
    models = {name: build_model(name, num_classes=0).bfloat16().eval() for name in options.models}
    times: dict[tuple[str, int], list[float]] = {(name, size): [] for size in options.sizes for name in models}
    with torch.inference_mode():
        for _ in range(options.rounds):
            for name, size in times:
                images = torch.randn(1, 3, size, size, dtype=torch.bfloat16)
                start = time.perf_counter()
                models[name](images)
                times[name, size].append(time.perf_counter() - start)
    for name in models:
        counted = {row.image_size: row.total for row in growth(name, options.sizes)}
        first = options.sizes[0]
        print(f"{name}: pixels, milliseconds, and how often those at {first} (pixels; counted; measured)")
        for size in options.sizes:
            ratios = (
                (size / first) ** 2,
                counted[size] / counted[first],
                min(times[name, size]) / min(times[name, first]),
            )
            print(f"  {size:5} {min(times[name, size]) * 1e3:9.1f}  " + "  ".join(f"{ratio:6.2f}" for ratio in ratios))


if __name__ == "__main__":
    main()
