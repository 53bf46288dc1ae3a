"""One small run of each kind on the embedded digits, shared by the tests of all verbs."""

from pathlib import Path

import pytest

import vitrail
from tests.support.curves import blank_curves

__all__ = ["blank_curves"]

TINY = {"patch_size": 8, "width": 32, "depth": 2, "num_heads": 2}
QUICK = {"image_size": 32, "channels": 1, "epochs": 1, "batch_size": 128, "architecture": TINY}


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "pretrained"
    return vitrail.pretrain("digits", out=str(out), decoder_width=32, decoder_depth=1, **QUICK).folder


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "classifier"
    plain = {"crop": "none", "flip": 0.0, "rand_augment": 0, "mixup": 0.0, "cutmix": 0.0}
    settings = {**QUICK, "epochs": 8, "batch_size": 64, "augment": plain, "schedule": {"warmup_epochs": 0.5}}
    return vitrail.train("digits", out=str(out), lr=3e-3, **settings).folder


@pytest.fixture(scope="session")
def digit_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of digits as PNG files, one folder a class, with one damaged file that is no image."""
    from vitrail.data.sources import open_source

    root = tmp_path_factory.mktemp("digits")
    test = open_source("digits").test
    assert test is not None
    assert test.labels is not None
    for number, (image, label) in enumerate(zip(test.items, test.labels, strict=True)):
        folder = root / str(label)
        folder.mkdir(exist_ok=True)
        image.save(folder / f"{number}.png")  # type: ignore[union-attr]
    return root
