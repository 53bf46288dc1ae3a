"""What the benchmarks share: timing one run, and the machine's own speed to hold it against."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch

Run = Callable[[], object]


def seconds(run: Run, device: str) -> float:
    """Return how long a run takes, to the end of what it leaves to a GPU."""
    start = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def matmul_rate(dtype: torch.dtype, device: str) -> Callable[[], float]:
    """Return a function that measures multiplications and additions a second of a product of 2048 x 2048 matrices."""
    a, b = (torch.randn(2048, 2048, device=device, dtype=dtype) for _ in range(2))
    return lambda: 2 * 2048**3 / min(seconds(lambda: a @ b, device) for _ in range(3))


@dataclass
class Interleaved:
    """Times of several runs, taken in turns.

    Attributes:
        times: seconds of each run, round by round.
        rates: of the matrix product, operations a second, round by round.
    """

    times: dict[str, list[float]]
    rates: list[float] = field(default_factory=list)

    def median(self, name: str) -> float:
        """Return the median seconds of a run."""
        return statistics.median(self.times[name])

    def report(self, reference: str, operations: float) -> None:
        """Print, fastest first, median, the ratio to a reference within a round, and the share of the matrix rate."""
        print(
            f"matrix product {statistics.median(self.rates) / 1e9:,.0f} GFLOP/s; "
            f"the model {operations / 1e9:,.1f} GFLOP"
        )
        for name in sorted(self.times, key=self.median):
            own = self.times[name]
            ratios = [theirs / ours for theirs, ours in zip(own, self.times[reference], strict=True)]
            efficiency = statistics.median(operations / t / r for t, r in zip(own, self.rates, strict=True))
            print(
                f"{name:30} {self.median(name) * 1e3:9.1f} ms  {middle(ratios)} of {reference}  "
                f"efficiency {efficiency:.2f}"
            )


def interleave(runs: Mapping[str, Run], rounds: int, dtype: torch.dtype, device: str) -> Interleaved:
    """Time each run once a round, in a shuffled order, so that what the machine does besides hits all alike."""
    rate = matmul_rate(dtype, device)
    taken = Interleaved({name: [] for name in runs})
    for _ in range(rounds):
        taken.rates.append(rate())
        for name in random.sample(list(runs), len(runs)):
            taken.times[name].append(seconds(runs[name], device))
    return taken


def middle(values: list[float]) -> str:
    """Return the median and the middle half."""
    low, median, high = statistics.quantiles(values, n=4)
    return f"{median:5.2f} ({low:.2f} to {high:.2f})"
