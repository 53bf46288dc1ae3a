"""Passes of a small MLP in three seconds; start it once, then twice at the same time, with and without GOMP_SPINCOUNT.

python benchmarks/threads.py & python benchmarks/threads.py
"""

import time

import torch

SECONDS = 3.0


def main() -> None:
    """Count forward and backward passes and print how many there were."""
    tokens = torch.randn(64 * 17, 128)
    rise, fall = torch.nn.Linear(128, 512), torch.nn.Linear(512, 128)
    for _ in range(3):
        began, passes = time.perf_counter(), 0
        while time.perf_counter() - began < SECONDS:
            state = tokens
            for _ in range(20):
                state = state + fall(torch.nn.functional.gelu(rise(state)))
            state.sum().backward()
            passes += 1
        print(passes, flush=True)


if __name__ == "__main__":
    main()
