import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vitrail.config import Augment, Preprocessing
from vitrail.data.batches import EvalBatches, Loading, TrainBatches
from vitrail.data.features import EvalFeatureBatches, FeatureBatches, Features, View, digest_of, identity, kept_features
from vitrail.data.samples import Samples
from vitrail.data.sources import Images
from vitrail.data.transforms import eval_transform, train_transform
from vitrail.errors import DataError

GREY = Preprocessing(image_size=(8, 8), channels=1, mean=(0.5,), std=(0.5,))


def random_images(folder: Path, count: int = 10, damaged: tuple[int, ...] = ()) -> Images:
    paths = []
    for number in range(count):
        path = folder / f"{number}.png"
        if number in damaged:
            path.write_bytes(b"no image")
        else:
            Image.new("L", (8, 8), number * 20).save(path)
        paths.append(path)
    return Images(tuple(paths), tuple(n % 3 for n in range(count)), tuple(p.name for p in paths))


class Counting:
    """Features that are the mean grey, and how often they were computed."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.views: list[int] = []

    def __call__(self, view: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        self.views.append(view)
        for batch in EvalBatches(View(self.samples, view), 4):  # type: ignore[arg-type]
            yield batch["index"], batch["image"].float().mean(dim=(2, 3))


def kept(folder: Path, shown: Images, views: int = 1, **about: Any) -> tuple[Features, Counting]:
    compute = Counting(Samples(shown, eval_transform(GREY), channels=1))
    about = {"what": "grey", "data": "x", "images": identity(shown), **about}
    return kept_features(folder / "features", about, views, compute), compute


def test_features_are_computed_once_and_then_read(tmp_path: Path) -> None:
    shown = random_images(tmp_path)
    first, compute = kept(tmp_path, shown, views=2)
    again, idle = kept(tmp_path, shown, views=2)
    assert compute.views == [0, 1]
    assert idle.views == []
    assert again.values.dtype == np.float32
    assert np.array_equal(first.values, again.values)
    torch.testing.assert_close(again.all()[:, 0], torch.arange(10.0) * 20)


def test_a_changed_image_or_setting_makes_them_anew_and_removes_the_old(tmp_path: Path) -> None:
    shown = random_images(tmp_path)
    kept(tmp_path, shown)
    assert kept(tmp_path, shown, weights="others")[1].views == [0]
    Image.new("L", (8, 8), 255).save(tmp_path / "3.png")
    os.utime(tmp_path / "3.png", ns=(1, 1))
    changed, compute = kept(tmp_path, shown, weights="others")
    assert compute.views == [0]
    assert changed.all()[3, 0] == 255
    assert len(list((tmp_path / "features").iterdir())) == 1, "what is out of date does not fill the disk"
    kept(tmp_path, shown, what="something else")
    assert len(list((tmp_path / "features").iterdir())) == 2


def test_what_breaks_off_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    def broken(view: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        yield torch.arange(4), torch.zeros(4, 2)
        raise KeyboardInterrupt

    about = {"what": "grey", "data": "x"}
    with pytest.raises(KeyboardInterrupt):
        kept_features(tmp_path / "features", about, 1, broken)
    assert list((tmp_path / "features").iterdir()) == []


def test_damaged_images_are_left_out_and_others_take_their_place_in_training(tmp_path: Path) -> None:
    shown = random_images(tmp_path, damaged=(2, 9))
    features, _ = kept(tmp_path, shown)
    assert features.index.tolist() == [0, 1, 3, 4, 5, 6, 7, 8]
    assert features.index[features.row_of(10)].tolist() == [0, 1, 3, 3, 4, 5, 6, 7, 8, 0]
    assert features.labels(shown).tolist() == [0, 1, 0, 1, 2, 0, 1, 2]


def test_a_folder_without_a_readable_image_is_named_as_that(tmp_path: Path) -> None:
    shown = random_images(tmp_path, count=2, damaged=(0, 1))
    with pytest.raises(DataError, match="can be read"):
        kept(tmp_path, shown)


def test_batches_of_features_are_those_of_the_images(tmp_path: Path) -> None:
    """Order, labels, micro-batches and processes are those of training on images, damaged ones included."""
    shown = random_images(tmp_path, damaged=(5,))
    features, _ = kept(tmp_path, shown)
    for rank in (0, 1):
        samples = Samples(shown, eval_transform(GREY), channels=1)
        batches = TrainBatches(samples, 4, micro_batch=2, seed=3, loading=Loading(rank=rank, world=2))
        as_features = FeatureBatches(batches, features)
        assert as_features.steps_per_epoch == batches.steps_per_epoch
        for step, (theirs, ours) in enumerate(zip(batches.start(1), as_features.start(1), strict=False)):
            assert [b["position"] for b in ours] == [b["position"] for b in theirs]
            for one, other in zip(theirs, ours, strict=True):
                assert torch.equal(one["label"], other["label"])
                torch.testing.assert_close(one["image"].float().mean(dim=(2, 3)), other["features"])
            if step == 5:
                break


def test_every_epoch_shows_its_view_as_training_on_images_does(tmp_path: Path) -> None:
    shown = random_images(tmp_path)
    transform = train_transform(Augment(flip=0.5, erasing=1.0), GREY)
    samples = Samples(shown, transform, seed=4, channels=1, views=3)
    about = {"what": "grey", "data": "x"}
    features = kept_features(tmp_path / "features", about, 3, Counting(Samples(shown, transform, seed=4, channels=1)))
    batches = TrainBatches(samples, 5, seed=4)
    for step, (theirs, ours) in enumerate(
        zip(batches.start(), FeatureBatches(batches, features).start(), strict=False)
    ):
        torch.testing.assert_close(theirs[0]["image"].float().mean(dim=(2, 3)), ours[0]["features"])
        if step == 9:
            break


def test_processes_evaluate_every_row_once(tmp_path: Path) -> None:
    shown = random_images(tmp_path, damaged=(5,))
    features, _ = kept(tmp_path, shown)
    seen = [b["features"] for rank in (0, 1) for b in EvalFeatureBatches(shown, features, 3, rank, 2)]
    assert sorted(torch.cat(seen)[:, 0].tolist()) == [20.0 * n for n in range(10) if n != 5]


def test_weights_are_told_apart_by_any_bit_and_name() -> None:
    state = {"a": torch.zeros(2, 2), "b": torch.ones(3, dtype=torch.bfloat16)}
    same = {"b": state["b"].clone(), "a": state["a"].clone()}
    assert digest_of(state) == digest_of(same)
    others = [
        {**state, "a": torch.full((2, 2), -0.0)},
        {**state, "a": torch.zeros(4)},
        {"c": state["a"], "b": state["b"]},
    ]
    assert len({digest_of(state), *map(digest_of, others)}) == 4


@pytest.mark.parametrize("name", ["values.npy", "index.npy", "checks.json"])
@pytest.mark.parametrize("damage", ["flipped bit", "cut in half", "empty", "gone"])
def test_damaged_features_are_computed_anew(name: str, damage: str, tmp_path: Path) -> None:
    shown = random_images(tmp_path)
    first, _ = kept(tmp_path, shown)
    expected = np.array(first.values)
    (file,) = (tmp_path / "features").glob(f"*/{name}")
    data = bytearray(file.read_bytes())
    data[-1 if damage != "flipped bit" else -3] ^= 4
    file.unlink()
    if damage != "gone":
        file.write_bytes(
            bytes(data) if damage == "flipped bit" else bytes(data[: len(data) // 2 * (damage != "empty")])
        )
    again, compute = kept(tmp_path, shown)
    assert compute.views == [0]
    assert np.array_equal(again.values, expected)


def test_a_file_that_changed_but_for_its_size_and_time_is_noticed(tmp_path: Path) -> None:
    shown = random_images(tmp_path)
    before, file = identity(shown), tmp_path / "3.png"
    status, data = file.stat(), bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert identity(shown) != before
