"""Rows of a model: of whole images as `vitrail embed` gives them, and of their frames, whose centre is covered."""

from pathlib import Path

import numpy as np
import torch

import vitrail
import vitrail.runs.embedding as embedding
from tests.commands.data_sets import class_folders, records
from tests.commands.untrained import untrained
from vitrail.data.listed import listed_images
from vitrail.models.pooled import pooled
from vitrail.runs.described import BORDER, FramedEmbedder, covered, described
from vitrail.training.runtime import Runtime
from vitrail.weights.open_any import open_any


def test_the_centre_is_covered_with_the_mean_colour_and_the_frame_stays() -> None:
    images = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (2, 3, 40, 60), dtype=np.uint8))
    found, mean = covered(images, (0.1, 0.5, 0.9)), [26, 128, 230]
    top, left = round(BORDER * 40), round(BORDER * 60)
    for y in range(40):
        for x in range(60):
            inside = top <= y < 40 - top and left <= x < 60 - left
            for channel in range(3):
                expected = mean[channel] if inside else images[1, channel, y, x]
                assert found[1, channel, y, x] == expected
    assert not torch.equal(found, images), "the images themselves are not changed"


def test_rows_hold_the_vectors_of_embed_and_those_of_the_same_images_covered(tmp_path: Path) -> None:
    run, photos = untrained(tmp_path / "run"), class_folders(tmp_path / "photos", records(20, first=9))
    embedder = FramedEmbedder.of(open_any(str(run)), "auto", Runtime.named("cpu", "fp32"))
    rows = described(embedder, listed_images(str(photos)), None, {}, 0)
    assert rows.values.shape == (40, 48)
    assert np.array_equal(rows.values[:, :24], vitrail.embed(run, photos, device="cpu", workers=0))
    batch = next(iter(torch.utils.data.DataLoader(list(_pixels(embedder, photos)), batch_size=32)))
    framed, _ = super(FramedEmbedder, embedder).__call__(covered(batch, embedder.preprocessing.mean))
    assert np.allclose(rows.values[:32, 24:], framed, atol=1e-6)
    assert np.abs(rows.values[:, 24:] - rows.values[:, :24]).max() > 1e-3


def test_frames_of_large_inputs_are_shown_at_half_the_size(tmp_path: Path, monkeypatch) -> None:
    seen = []
    run = untrained(tmp_path / "run", image_size=(128, 128))
    embedder = FramedEmbedder.of(open_any(str(run)), "auto", Runtime.named("cpu", "fp32"))
    monkeypatch.setattr(
        embedding,
        "pooled",
        lambda model, images, pool: (seen.append(tuple(images.shape[-2:])), pooled(model, images, pool))[1],
    )
    embedder(torch.zeros(1, 3, 128, 128, dtype=torch.uint8))
    embedder(torch.zeros(1, 3, 96, 96, dtype=torch.uint8))
    assert seen == [(128, 128), (64, 64), (96, 96), (96, 96)]


def _pixels(embedder: FramedEmbedder, photos: Path):
    samples = embedder.samples(listed_images(str(photos)), 0)
    return (samples[0, number]["image"] for number in range(len(samples)))
