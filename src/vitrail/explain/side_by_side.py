"""Run a model on many small batches at once, one core each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor

Batch = TypeVar("Batch")


def run_side_by_side(
    run: Callable[[Batch], Tensor], batches: Iterable[Batch], device: torch.device
) -> Iterator[Tensor]:
    """Give ``run(batch)`` of each batch, in order, without gradients.

    On a CPU each batch has a core of its own: threads inside an operation wait for each other after every one, so that
    two cores run a small ViT hardly faster than one does. Only as many batches as there are cores are under way.

    Args:
        run: the model; from several threads at once.
        batches: what it runs on; made one after the other, as they are asked for.
        device: where the model is.
    """
    threads = torch.get_num_threads()
    if device.type != "cpu" or threads == 1:
        yield from map(torch.no_grad()(run), batches)
        return
    waiting = iter(batches)
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            one = torch.no_grad()(run)  # whether gradients are kept is each thread's own
            under_way: list[Future[Tensor]] = [pool.submit(one, batch) for batch in islice(waiting, threads)]
            while under_way:
                yield under_way.pop(0).result()
                under_way += [pool.submit(one, batch) for batch in islice(waiting, 1)]
    finally:
        torch.set_num_threads(threads)  # for some libraries the number is one for all threads
