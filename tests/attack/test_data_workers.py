"""Data workers that are stopped, or lack memory or descriptors, are named, or do without."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from vitrail.data import parcels
from vitrail.data import workers as workers_module
from vitrail.data.batches import EvalBatches, Loading, TrainBatches
from vitrail.data.parcels import pack
from vitrail.data.samples import Samples
from vitrail.data.sources import Images
from vitrail.errors import DataError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
ROOT = Path(__file__).parents[2]


def large(image: Image.Image) -> torch.Tensor:
    return torch.randint(256, (3, 200, 200), dtype=torch.uint8)


def samples(count: int = 24, transform: Callable[[Image.Image], torch.Tensor] = large) -> Samples:
    items = [Image.new("RGB", (2, 2), (number, 0, 0)) for number in range(count)]
    return Samples(Images(items, tuple(n % 2 for n in range(count)), ("",) * count), transform, 3)


def digest(batches: EvalBatches) -> list[int]:
    return [int(batch["image"].long().sum()) for batch in batches]


def test_a_stopped_worker_is_named_with_its_process_within_the_limit_that_was_set(monkeypatch) -> None:
    monkeypatch.setattr(workers_module, "LOOK_EVERY", 0.2)
    own = os.getpid()

    def stops(image: Image.Image) -> torch.Tensor:
        if os.getpid() != own:
            os.kill(os.getpid(), signal.SIGSTOP)
        return large(image)

    start = time.monotonic()
    with pytest.raises(DataError, match=r"data worker 0 \(process \d+\), 1 \(process \d+\) on .* is stopped") as caught:
        next(TrainBatches(samples(transform=stops), 4, loading=Loading(workers=2, timeout=1.0)).start())
    assert 1 <= time.monotonic() - start < 60
    assert "--loader.workers 0" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_slow_worker_is_not_taken_for_a_stopped_one(monkeypatch) -> None:
    monkeypatch.setattr(workers_module, "LOOK_EVERY", 0.2)

    def slow(image: Image.Image) -> torch.Tensor:
        time.sleep(0.4)
        return large(image)

    assert len(list(EvalBatches(samples(8, slow), 4, loading=Loading(workers=2, timeout=0.5)))) == 2


@pytest.mark.parametrize("share", [True, False])
def test_a_batch_comes_out_of_its_parcel_as_it_went_in(share: bool) -> None:
    batch = {
        "image": torch.randint(256, (4, 3, 300, 300), dtype=torch.uint8),
        "label": torch.arange(4),
        "half": torch.randn(3, 3).bfloat16(),
        "empty": torch.empty(0, 4),
        "number": torch.tensor(3.5),
        "turned": torch.arange(12).reshape(3, 4).T,
        "flags": torch.tensor([True, False]),
        "objects": [{"boxes": torch.rand(2, 4)}, {"boxes": torch.rand(0, 4)}],
        "damaged": ["a", "b"],
        "position": 3,
    }
    parcel = pack(batch, share)
    assert len(parcel.shared) == share
    out = parcel.unpacked()
    assert out.keys() == batch.keys()
    for name in ("image", "label", "half", "empty", "number", "turned", "flags"):
        assert out[name].dtype == batch[name].dtype
        assert torch.equal(out[name], batch[name])
    assert all(torch.equal(a["boxes"], b["boxes"]) for a, b in zip(out["objects"], batch["objects"], strict=True))
    assert (out["damaged"], out["position"]) == (["a", "b"], 3)
    out["label"] += 1  # It can be written to.


@pytest.mark.parametrize("lacking", ["room", "descriptors", "memory of torch"])
def test_without_shared_memory_batches_travel_by_value_and_are_the_same(lacking: str, monkeypatch) -> None:
    expected = digest(EvalBatches(samples(), 6))
    if lacking == "room":
        monkeypatch.setattr(parcels, "_has_room", lambda wanted: False)
    elif lacking == "descriptors":
        monkeypatch.setattr(workers_module, "_descriptors_left", lambda: 40)
    else:

        def refuses(tensor: torch.Tensor) -> None:
            raise RuntimeError(
                "unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)"
            )

        monkeypatch.setattr(torch.Tensor, "share_memory_", refuses)
    assert digest(EvalBatches(samples(), 6, loading=Loading(workers=2))) == expected


PROGRAM = """
import resource, sys
from tests.attack.test_data_workers import digest, samples
from vitrail.data.batches import EvalBatches, Loading
from vitrail.errors import DataError
kind, value = {limit}
if kind: resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))
try:
    busy = EvalBatches(samples(), 6, loading=Loading(workers={workers}))
    print("same", digest(busy) == digest(EvalBatches(samples(), 6)))
except DataError as error:
    print("DataError", error)
"""


def in_a_process(limit: str, workers: int, before: tuple[str, ...] = ()) -> str:
    program = PROGRAM.format(limit=limit, workers=workers)
    done = subprocess.run(
        [*before, sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_few_file_descriptors_are_enough() -> None:
    assert in_a_process("resource.RLIMIT_NOFILE, 60", 2).startswith("same True")


def test_too_few_file_descriptors_are_one_sentence(monkeypatch) -> None:
    monkeypatch.setattr(workers_module, "_descriptors_left", lambda: 20)
    with pytest.raises(DataError, match=r"16 data workers need about 120 open files, and 20 more .* raise ulimit -n"):
        list(EvalBatches(samples(), 6, loading=Loading(workers=16)))


def may_mount() -> bool:
    if not shutil.which("unshare"):
        return False
    program = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/dev/shm"]
    return subprocess.run(program, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(
    "size", ["1m", pytest.param("64k", marks=pytest.mark.slow), pytest.param("3m", marks=pytest.mark.slow)]
)
def test_a_small_dev_shm_costs_nothing_but_time(size: str) -> None:
    if not may_mount():
        pytest.skip("a small /dev/shm cannot be mounted here")
    mount = f'mount -t tmpfs -o size={size} tmpfs /dev/shm && exec "$@"'
    assert in_a_process("None, 0", 2, ("unshare", "-m", "sh", "-c", mount, "sh")).startswith("same True")


def test_workers_that_cannot_be_forked_are_one_sentence(monkeypatch) -> None:
    def refused() -> int:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(os, "fork", refused)
    with pytest.raises(DataError, match=r"2 data workers cannot be started \(Cannot allocate memory\); use fewer"):
        list(EvalBatches(samples(), 6, loading=Loading(workers=2)))


def test_a_worker_without_memory_is_one_sentence() -> None:
    own = os.getpid()

    def refused(image: Image.Image) -> torch.Tensor:
        if os.getpid() != own:
            raise MemoryError
        return large(image)

    with pytest.raises(DataError, match="a data worker has no memory left"):
        list(EvalBatches(samples(transform=refused), 6, loading=Loading(workers=1)))
