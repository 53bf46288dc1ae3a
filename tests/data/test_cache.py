"""The cache holds what was put in, shares it between forked processes, and never grows past its budget."""

import multiprocessing
import pickle
import sys
from operator import methodcaller
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitrail.data import cache
from vitrail.data.cache import ImageCache, open_cache

from .conftest import MakeFiles


def image(number: int, size: tuple[int, int] = (7, 5), mode: str = "RGB") -> Image.Image:
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    return Image.fromarray(np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8))


def test_images_come_back_as_they_were_put_in():
    kept = ImageCache(4, 10_000)
    put = {0: image(0), 1: image(1, (1, 9)), 3: image(3, mode="L")}
    for number, pixels in put.items():
        kept.put(number, pixels)
    assert kept.get(2) is None
    for number, pixels in put.items():
        got = kept.get(number)
        assert got is not None
        assert (got.mode, got.size, got.tobytes()) == (pixels.mode, pixels.size, pixels.tobytes())


def test_an_image_past_the_budget_is_not_kept_but_a_smaller_one_is():
    kept = ImageCache(3, 120)
    kept.put(0, image(0))  # 105 bytes
    kept.put(1, image(1))
    kept.put(2, image(2, (5, 3), "L"))
    assert [kept.get(number) is not None for number in range(3)] == [True, False, True]


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux only")
def test_what_one_forked_process_decodes_another_finds():
    kept = ImageCache(2, 1000)
    worker = multiprocessing.get_context("fork").Process(target=kept.put, args=(1, image(1)))
    worker.start()
    worker.join(20)
    got = kept.get(1)
    assert got is not None
    assert got.tobytes() == image(1).tobytes()


def test_a_spawned_process_gets_an_empty_cache_without_memory():
    kept = ImageCache(2, 1000)
    kept.put(0, image(0))
    copy = pickle.loads(pickle.dumps(kept))
    copy.put(0, image(0))
    assert copy.get(0) is None


@pytest.mark.parametrize(("free", "auto"), [(10 * 360 * 4, True), (10 * 360 * 4 - 40, False), (0, False)])
def test_auto_keeps_all_images_or_none(make_files: MakeFiles, monkeypatch, free: int, auto: bool):
    root = make_files({f"{i}.png": i for i in range(10)})  # 12 x 10 x 3 bytes each
    files = sorted(root.iterdir())
    monkeypatch.setattr(cache, "free_memory", lambda: free)
    assert (open_cache(files, methodcaller("open"), "auto") is not None) == auto
    assert open_cache(files, methodcaller("open"), "on") is not None
    assert open_cache(files, methodcaller("open"), "off") is None
    assert open_cache([image(0)], methodcaller("open"), "on") is None


def test_processes_of_one_machine_share_its_memory(make_files: MakeFiles, monkeypatch):
    files = list(make_files({"1.png": 0}).iterdir())
    monkeypatch.setattr(cache, "free_memory", lambda: 80_000)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    kept = open_cache(files, methodcaller("open"), "on")
    assert kept is not None
    assert kept.budget == 10_000


def test_damaged_files_do_not_disturb_the_estimate(tmp_path: Path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    assert open_cache([bad], methodcaller("open"), "auto") is not None


@pytest.mark.skipif(sys.platform != "linux", reason="read from /proc")
def test_the_free_memory_is_that_of_this_machine():
    import psutil

    assert 0 < cache.free_memory() <= psutil.virtual_memory().total


def test_a_cache_that_the_system_refuses_is_left_out(make_files: MakeFiles, monkeypatch):
    def refused(*_: object) -> object:
        raise OSError(12, "Cannot allocate memory")

    files = list(make_files({"1.png": 0}).iterdir())
    monkeypatch.setattr(cache, "free_memory", lambda: 2**40)
    monkeypatch.setattr(cache.mmap, "mmap", refused)
    assert open_cache(files, methodcaller("open"), "auto") is None
    with pytest.warns(UserWarning, match="decoded images are not kept in memory: .* Cannot allocate memory"):
        assert open_cache(files, methodcaller("open"), "on") is None


def test_no_more_is_mapped_than_the_images_need(make_files: MakeFiles, monkeypatch):
    files = list(make_files({f"{number}.png": 0 for number in range(9)}).iterdir())
    monkeypatch.setattr(cache, "free_memory", lambda: 2**36)
    kept = open_cache(files, methodcaller("open"), "auto")
    assert kept is not None
    assert 9 * 360 <= kept.budget < 2 * 2**20
