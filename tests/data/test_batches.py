"""Batches belong to seed, epoch and step: not to workers, to processes, or to where a run was resumed."""

import gc
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import Dataset

from vitrail.config import Augment, Preprocessing
from vitrail.data import workers as workers_module
from vitrail.data.batches import Batch, EvalBatches, Loading, TrainBatches, collate, worker_count
from vitrail.data.samples import Samples
from vitrail.data.sources import Images, open_source
from vitrail.data.transforms import train_transform
from vitrail.errors import ConfigError, DataError

from .conftest import MakeFiles


def tiny(image: Image.Image) -> torch.Tensor:
    return torch.randint(256, (1, 2, 2), dtype=torch.uint8)


def in_memory(count: int, classes: int = 2) -> Samples:
    items = [Image.new("L", (2, 2))] * count
    labels = tuple(min(i, classes - 1) for i in range(count))  # The last class is by far the largest.
    return Samples(Images(items, labels, ("",) * count), tiny, 3, 1)


def drawn_mask(image: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"mask": torch.rand(16) < 0.75}


def on_disk(root: Path, color_jitter: float = 0.4) -> Samples:
    train = open_source(root, validation_share=0.0).train
    assert train is not None
    augment = Augment(color_jitter=color_jitter, erasing=0.5)
    return Samples(train, train_transform(augment, Preprocessing((8, 8))), 7, extra=drawn_mask)


@pytest.fixture
def root(make_files: MakeFiles) -> Path:
    return make_files({f"{name}/{i}.jpg": 10 * i + len(name) for name in ("a", "bb") for i in range(11)})


def steps(batches: TrainBatches, first: int, count: int) -> list[list[Batch]]:
    return list(itertools.islice(batches.start(first), count))


def assert_equal(a: Batch, b: Batch) -> None:
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]) if isinstance(a[name], torch.Tensor) else a[name] == b[name]


def assert_same_steps(a: list[list[Batch]], b: list[list[Batch]]) -> None:
    assert [len(step) for step in a] == [len(step) for step in b]
    for one, other in zip(itertools.chain(*a), itertools.chain(*b), strict=True):
        assert_equal(one, other)


def test_a_batch_has_the_shapes_and_kinds_that_tasks_expect(root: Path):
    ((batch,),) = steps(TrainBatches(on_disk(root), 4), 0, 1)
    assert (batch["image"].shape, batch["image"].dtype) == ((4, 3, 8, 8), torch.uint8)
    assert (batch["label"].shape, batch["label"].dtype) == ((4,), torch.int64)
    assert (batch["index"].shape, batch["index"].dtype) == ((4,), torch.int64)
    assert (batch["mask"].shape, batch["mask"].dtype) == ((4, 16), torch.bool)
    assert (batch["position"], batch["damaged"]) == (0, [])
    assert batch["image"].is_contiguous()


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_depend_neither_on_workers_nor_on_the_step_a_run_starts_at(root: Path, workers: int):
    undisturbed = steps(TrainBatches(on_disk(root), 6, 2), 0, 9)
    resumed = TrainBatches(on_disk(root), 6, 2, loading=Loading(workers=workers))
    assert resumed.steps_per_epoch == 3
    assert_same_steps(steps(resumed, 0, 4), undisturbed[:4])
    assert_same_steps(steps(resumed, 5, 4), undisturbed[5:9])


def two_views(image: Image.Image) -> tuple[torch.Tensor, ...]:
    return torch.randint(256, (1, 4, 4), dtype=torch.uint8), torch.randint(256, (1, 2, 2), dtype=torch.uint8)


@pytest.mark.parametrize("workers", [0, 2])
def test_views_of_an_image_are_batched_each_with_its_like_and_reach_training_in_order(root: Path, workers: int):
    source = open_source(root, validation_share=0.0).train
    assert source is not None
    samples = Samples(source, two_views, 7, 1)
    ((batch,),) = steps(TrainBatches(samples, 5, loading=Loading(workers=workers)), 1, 1)
    assert "image" not in batch
    assert [tuple(view.shape) for view in batch["views"]] == [(5, 1, 4, 4), (5, 1, 2, 2)]
    one_by_one = [samples[key]["views"] for key in TrainBatches(samples, 5).keys(1)]
    for number, view in enumerate(batch["views"]):
        assert torch.equal(view, torch.stack([views[number] for views in one_by_one]))


@pytest.mark.parametrize("balanced", [False, True])
def test_two_processes_see_the_micro_batches_of_one(root: Path, balanced: bool):
    one = steps(TrainBatches(on_disk(root), 6, 3, balanced=balanced), 2, 4)
    first, second = (
        steps(TrainBatches(on_disk(root), 6, 3, balanced=balanced, loading=Loading(rank=rank, world=2)), 2, 4)
        for rank in (0, 1)
    )
    assert_same_steps(one, [[*a, *b] for a, b in zip(first, second, strict=True)])
    assert [batch["position"] for batch in one[0]] == [0, 1]


def in_words(batch: Batch) -> str:
    values = (batch["image"].sum(dim=(2, 3)), batch["mask"].sum(dim=1), batch["index"], batch["label"])
    return f"{batch['position']} {[value.tolist() for value in values]}"


def test_two_real_processes_see_the_micro_batches_of_one(root: Path):
    script = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from pathlib import Path
from tests.data.test_batches import Loading, TrainBatches, in_words, on_disk, steps
samples = on_disk(Path({str(root)!r}), color_jitter=0.0)
for (batch,) in steps(TrainBatches(samples, 6, loading=Loading(rank=int(sys.argv[1]), world=2)), 2, 3):
    print(in_words(batch))
"""
    runs = [
        subprocess.Popen([sys.executable, "-c", script, str(rank)], stdout=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    lines = [run.communicate(timeout=300)[0].splitlines() for run in runs]
    one = steps(TrainBatches(on_disk(root, color_jitter=0.0), 6, 3), 2, 3)
    assert list(zip(*lines, strict=True)) == [(in_words(first), in_words(second)) for first, second in one]


@settings(deadline=None, max_examples=200)
@given(
    count=st.integers(1, 40),
    batch_size=st.integers(1, 50),
    micro_batch=st.integers(0, 12),
    world=st.integers(1, 4),
    step=st.integers(0, 9),
)
def test_the_global_batch_is_dealt_completely_evenly_and_in_order(count, batch_size, micro_batch, world, step):
    batch_size = max(batch_size, world)
    samples = in_memory(count)
    ranks = [
        TrainBatches(samples, batch_size, micro_batch, loading=Loading(rank=rank, world=world)) for rank in range(world)
    ]
    dealt = [
        slot for batches in ranks for slot in itertools.islice(batches.slots(step), batches.micro_batches // world)
    ]
    dealt.sort(key=lambda slot: slot[0])
    assert [position for position, _ in dealt] == list(range(ranks[0].micro_batches))
    assert [key for _, keys in dealt for key in keys] == ranks[0].keys(step)
    sizes = [len(keys) for _, keys in dealt]
    assert sum(sizes) == batch_size
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    if micro_batch and len(sizes) + world <= batch_size:  # Else there is no way to cut it finer.
        assert max(sizes) <= micro_batch


def test_an_epoch_shows_no_sample_twice_and_the_next_one_another_order():
    batches = TrainBatches(in_memory(23), 5)
    assert batches.steps_per_epoch == 4
    epochs = [[key for step in range(4 * e, 4 * e + 4) for key in batches.keys(step)] for e in range(3)]
    for number, keys in enumerate(epochs):
        assert {key[0] for key in keys} == {number}
        assert len({key[1] for key in keys}) == 20
    assert epochs[0] != [(0, index) for _, index in epochs[1]]
    assert batches.keys(0) != TrainBatches(in_memory(23), 5, seed=1).keys(0)
    assert {index for keys in epochs for _, index in keys} == set(range(23))


def test_an_epoch_smaller_than_a_batch_goes_round_with_fresh_augmentations():
    batches = TrainBatches(in_memory(3), 8)
    assert batches.steps_per_epoch == 1
    keys = batches.keys(4)
    assert sorted(Counter(key[1] for key in keys).values()) == [2, 3, 3]
    assert len(set(keys)) == 8
    ((batch,),) = steps(batches, 4, 1)
    assert len({tuple(image.flatten().tolist()) for image in batch["image"]}) == 8


def test_balanced_batches_draw_every_class_equally_often_and_all_of_its_images():
    samples = in_memory(60, classes=3)  # 1, 1 and 58 images
    batches = TrainBatches(samples, 20, balanced=True)
    keys = [key for step in range(3) for key in batches.keys(step)]
    labels = samples.images.labels
    assert labels is not None
    assert Counter(labels[key[1]] for key in keys) == {0: 20, 1: 20, 2: 20}
    assert len(set(keys)) == 60
    assert len({key[1] for key in keys if labels[key[1]] == 2}) == 20
    assert keys != [key for step in range(3) for key in TrainBatches(samples, 20, seed=1, balanced=True).keys(step)]


@settings(deadline=None, max_examples=50)
@given(count=st.integers(1, 40), batch_size=st.integers(1, 12), world=st.integers(1, 5))
def test_evaluation_covers_every_sample_exactly_once_over_all_processes(count, batch_size, world):
    shards = [
        EvalBatches(in_memory(count), batch_size, loading=Loading(rank=rank, world=world)) for rank in range(world)
    ]
    seen = [batch["index"] for shard in shards for batch in shard]
    assert sorted(torch.cat(seen).tolist()) == list(range(count))
    assert max(map(len, seen)) <= batch_size
    assert sum(map(len, shards)) == len(seen)


def test_evaluation_is_the_same_with_workers_and_again(root: Path):
    plain, busy = (EvalBatches(on_disk(root), 4, loading=Loading(workers=workers)) for workers in (0, 2))
    expected = list(plain)
    for batches in (plain, busy, busy):
        for one, other in zip(batches, expected, strict=True):
            assert_equal(one, other)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_callers_random_numbers_are_untouched(root: Path, workers: int):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    steps(TrainBatches(on_disk(root), 4, loading=Loading(workers=workers)), 0, 3)
    list(EvalBatches(on_disk(root), 4, loading=Loading(workers=workers)))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("workers", [0, 1])
def test_damaged_files_are_replaced_in_training_and_left_out_of_evaluation(make_files: MakeFiles, workers: int):
    good = {f"{name}/{i}.png": i for name in "ab" for i in range(3)}
    root = make_files({**good, "a/1.png": b"?", "b/0.png": b"", "b/1.png": b"?", "b/2.png": b"?"})
    samples = on_disk(root)
    ((batch,),) = steps(TrainBatches(samples, 6, loading=Loading(workers=workers)), 0, 1)
    assert set(batch["index"].tolist()) == {0, 2}
    assert len(batch["image"]) == 6
    assert {line.split(": ")[0] for line in batch["damaged"]} == {
        str(root / name) for name in ("a/1.png", "b/0.png", "b/1.png", "b/2.png")
    }
    evaluation = EvalBatches(samples, 2, loading=Loading(workers=workers))
    first, second = list(evaluation)
    assert (first["index"].tolist(), second["index"].tolist()) == ([0], [2])
    assert first["damaged"] == [f"{root / 'a/1.png'}: not a JPEG, PNG, WebP, AVIF, TIFF, BMP, GIF, PPM or PGM image"]
    assert len(evaluation.damaged) == 4
    assert len(list(evaluation)) == 2
    assert len(evaluation.damaged) == 4


@pytest.mark.parametrize("workers", [0, 1])
def test_a_data_set_of_damaged_files_is_one_sentence_with_and_without_workers(make_files: MakeFiles, workers: int):
    samples = on_disk(make_files({"a/1.png": b"?", "b/2.png": b"?"}))
    with pytest.raises(DataError) as caught:
        steps(TrainBatches(samples, 2, loading=Loading(workers=workers)), 0, 1)
    assert str(caught.value).startswith("2 images in a row cannot be read, the first being ")
    assert "\n" not in str(caught.value)


def hangs(image: Image.Image) -> torch.Tensor:
    time.sleep(60)
    return tiny(image)


def dies(image: Image.Image) -> torch.Tensor:
    os.kill(os.getpid(), signal.SIGKILL)
    return tiny(image)


@pytest.mark.parametrize("fate", [hangs, dies])
def test_a_worker_that_hangs_or_dies_is_one_sentence_and_not_a_standstill(monkeypatch, fate):
    monkeypatch.setattr(workers_module, "WORKER_TIMEOUT", 1.0)
    # What torch waits for a worker to end before it ends it.
    monkeypatch.setattr(torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.2)
    samples = in_memory(4)
    samples.transform = fate
    with pytest.raises(DataError, match=r"the data workers stopped \(DataLoader .*\); look for") as caught:
        steps(TrainBatches(samples, 2, loading=Loading(workers=1)), 0, 1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_to_a_worker_that_is_not_ready_for_it_yet_does_not_end_it(monkeypatch, number):
    ready = workers_module._leave_signals_to_main

    def stopped_at_once(worker: int) -> None:
        os.kill(os.getpid(), number)
        ready(worker)

    monkeypatch.setattr(workers_module, "_leave_signals_to_main", stopped_at_once)
    assert len(list(EvalBatches(in_memory(4), 1, loading=Loading(workers=2)))) == 4


def test_a_worker_that_dies_while_others_start_leaves_no_process_behind(monkeypatch):
    def one_dies(worker: int) -> None:
        if worker:
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(workers_module, "_leave_signals_to_main", one_dies)
    before = set(multiprocessing.active_children())
    with pytest.raises(DataError, match="the data workers stopped"):
        list(EvalBatches(in_memory(4), 1, loading=Loading(workers=2)))
    assert set(multiprocessing.active_children()) <= before


class WaitsForItsThreads:
    """Is freed in the process that made it alone, as a decoder with threads is; leaves a file where it is not."""

    def __init__(self, trace: Path) -> None:
        self.itself, self.trace, self.process = self, trace, os.getpid()

    def __del__(self) -> None:
        if os.getpid() != self.process:
            self.trace.touch()


class Collecting(Dataset):
    def __getitem__(self, slot: int) -> int:
        return gc.collect() * 0


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
def test_a_data_worker_does_not_free_what_the_main_process_gave_up(tmp_path: Path):
    gc.collect()
    gc.disable()
    try:
        WaitsForItsThreads(tmp_path / "freed")
        assert list(workers_module.load(Collecting(), range(2), 1, False)) == [0, 0]
    finally:
        gc.enable()
    assert not (tmp_path / "freed").exists()
    assert gc.get_freeze_count() == 0
    gc.collect()


def test_a_mistake_in_a_transform_is_not_taken_for_a_data_error():
    def wrong(image: Image.Image) -> torch.Tensor:
        raise RuntimeError("shape mismatch")

    samples = in_memory(4)
    samples.transform = wrong
    with pytest.raises(RuntimeError, match="shape mismatch"):
        steps(TrainBatches(samples, 2), 0, 1)


def test_batches_that_cannot_be_dealt_are_refused():
    with pytest.raises(ConfigError, match="batch_size 3 is too small for 4 processes; use 4 or more"):
        TrainBatches(in_memory(9), 3, loading=Loading(world=4))
    with pytest.raises(ConfigError, match="batch_size must be 1 or more, not 0"):
        EvalBatches(in_memory(9), 0)
    with pytest.raises(DataError, match="no images to train on"):
        TrainBatches(in_memory(0), 3)
    unlabelled = Samples(Images([Image.new("L", (2, 2))], None, ("",)), tiny)
    with pytest.raises(DataError, match="without labels"):
        TrainBatches(unlabelled, 1, balanced=True)


def test_collating_stacks_tensors_and_numbers_and_lists_the_rest():
    batch = collate([{"image": torch.ones(2), "n": 1, "share": 0.5, "name": "a"}] * 2)
    assert batch["image"].shape == (2, 2)
    assert (batch["n"].dtype, batch["share"].dtype) == (torch.int64, torch.float32)
    assert batch["name"] == ["a", "a"]


def test_workers_are_chosen_by_the_machine_and_not_used_for_images_in_memory(root: Path, monkeypatch):
    assert worker_count(3, in_memory(2)) == 3
    assert worker_count(-1, in_memory(2)) == 0
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(8), raising=False)
    assert worker_count(-1, on_disk(root)) == 7
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert worker_count(-1, on_disk(root)) == 1
