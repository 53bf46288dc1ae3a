"""A copy is found whatever was done to it, what only looks alike is none, and no copy is found twice."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps
from scipy.fft import dctn

from vitrail.audit.alignment import SIDE, align
from vitrail.audit.descriptors import MIRRORED, SMALL, WAVES, Describer, Descriptors
from vitrail.audit.near_duplicates import AGREEMENT, candidates, groups, verified
from vitrail.audit.neighbours import nearest, unit
from vitrail.data.item import DecodedItem
from vitrail.data.vector_chunks import Chunks, begin


def scene(seed: int, size: tuple[int, int] = (260, 200)) -> Image.Image:
    """Draw blobs of several sizes with some fine structure, as photographs have it."""
    random = np.random.default_rng(seed)
    width, height = size
    total = np.zeros((height, width))
    for cells, weight in ((4, 90), (12, 50), (40, 30), (100, 14)):
        noise = random.standard_normal((cells, cells))
        grid = Image.fromarray(noise.astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
        total += weight * np.asarray(grid)
    return Image.fromarray((128 + total).clip(0, 255).astype(np.uint8)).convert("RGB")


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    content = io.BytesIO()
    image.save(content, "JPEG", quality=quality)
    return Image.open(content).convert("RGB")


def cut(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    return image.crop((int(left * width), int(top * height), int(right * width), int(bottom * height)))


CHANGES = {
    "quality 50": lambda image: jpeg(image, 50),
    "rescaled": lambda image: image.resize((150, 115), Image.Resampling.BICUBIC),
    "stretched": lambda image: image.resize((300, 160), Image.Resampling.BICUBIC),
    "cut at every side": lambda image: jpeg(cut(image, 0.05, 0.05, 0.95, 0.95), 85),
    "cut at one side": lambda image: cut(image, 0.05, 0, 1, 1),
    "cut at a corner": lambda image: cut(image, 0, 0.05, 0.95, 1),
    "mirrored": ImageOps.mirror,
    "mirrored and cut": lambda image: jpeg(cut(ImageOps.mirror(image), 0.03, 0.05, 0.98, 1), 70),
    "brighter": lambda image: image.point(lambda value: min(255, int(0.8 * value + 40))),
    "grey": lambda image: image.convert("L").convert("RGB"),
}


def small(image: Image.Image) -> torch.Tensor:
    resized = image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(resized, dtype=np.float32).copy())


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_copy_is_aligned_whichever_of_both_is_the_changed_one(name: str) -> None:
    images = [scene(seed) for seed in (11, 12, 13)]
    first = torch.stack([small(image) for image in images])
    second = torch.stack([small(CHANGES[name](image)) for image in images])
    for found in (align(first, second), align(second, first)):
        assert (found.agreement > AGREEMENT).all(), found.agreement
        assert found.mirrored.tolist() == [name.startswith("mirrored")] * 3


def test_images_that_share_their_coarse_structure_alone_are_no_copies() -> None:
    """Two photographs of one scene with other fine structure, as of two white shirts."""
    images = [scene(seed).filter(ImageFilter.GaussianBlur(6)) for seed in (21, 22, 23)]
    first, second = [], []
    for number, image in enumerate(images):
        noise = np.random.default_rng(number).standard_normal((2, 50, 65)).astype(np.float32)
        fine = [np.asarray(Image.fromarray(part).resize(image.size, Image.Resampling.BICUBIC)) for part in noise]
        pixels = np.asarray(image, dtype=np.float32)
        for kept, part in ((first, fine[0]), (second, fine[1])):
            changed = Image.fromarray((pixels + 14 * part[..., None]).clip(0, 255).astype(np.uint8))
            kept.append(small(changed))
    found = align(torch.stack(first), torch.stack(second))
    assert (found.agreement < AGREEMENT - 0.1).all(), found.agreement
    assert (align(torch.stack(first), torch.stack(first)).agreement > 0.999).all()


def test_even_images_are_copies_where_their_grey_is_the_same() -> None:
    even = torch.stack([torch.full((SIDE, SIDE), value) for value in (200.0, 201.0, 90.0)])
    found = align(even[[0, 0]], even[[1, 2]]).agreement
    assert found.tolist() == [1.0, -1.0]


def test_the_waves_are_those_of_an_independent_cosine_transform_and_of_a_mirrored_image() -> None:
    images = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (4, 3, 256, 256), dtype=np.uint8))
    rows, _ = Describer()(images)
    found = Descriptors.of(rows)
    grey = np.tensordot(images.numpy().astype(np.float64), [0.299, 0.587, 0.114], axes=(1, 0)) / 255
    blocks = grey.reshape(4, SMALL, 8, SMALL, 8).mean(axis=(2, 4))
    expected = dctn(blocks, axes=(1, 2), norm="ortho")[:, :WAVES, :WAVES].reshape(4, -1)[:, 1:]
    assert np.abs(found.waves - expected).max() < 1e-5
    assert np.abs(found.brightness - grey.mean(axis=(1, 2))).max() < 1e-6
    assert np.abs(found.contrast - grey.std(axis=(1, 2))).max() < 1e-6
    centre = grey[:, 1:-1, 1:-1]
    laplacian = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:] - 4 * centre
    assert np.allclose(found.sharpness, laplacian.std(axis=(1, 2)) / grey.std(axis=(1, 2)), rtol=1e-5)
    mirrored = Descriptors.of(Describer()(images.flip(-1))[0])
    assert np.abs(mirrored.waves - found.waves * MIRRORED).max() < 1e-5


def test_neighbours_are_those_of_a_plain_loop_in_whatever_parts_they_are_found(monkeypatch) -> None:
    vectors = np.random.default_rng(5).standard_normal((37, 8)).astype(np.float32)
    vectors[7] = 0
    ready = unit(vectors)
    for compared in (2**24, 37 * 4):
        monkeypatch.setattr("vitrail.audit.neighbours.COMPARED", compared)
        found = nearest(ready, ready, 3)
        for row in range(37):
            others = [
                (float(ready[row].astype(np.float64) @ ready[other]), other) for other in range(37) if other != row
            ]
            expected = sorted(others, key=lambda one: -one[0])[:3]
            assert np.allclose(found.similarity[row], [value for value, _ in expected], atol=1e-6)
            if row != 7:
                assert found.index[row].tolist() == [other for _, other in expected]
    assert nearest(ready[:2], ready[:2], 5).index.tolist() == [[1], [0]]
    assert nearest(ready[:1], ready[:1], 5).index.shape == (1, 0)


def test_copies_are_found_among_other_images_and_nothing_else_is(tmp_path: Path) -> None:
    images = [scene(seed) for seed in range(40, 70)]
    changed = [change(images[place]) for place, change in enumerate(CHANGES.values())]
    items = [DecodedItem(f"{place}", image) for place, image in enumerate([*images, *changed])]
    pixels = torch.stack([_squashed(item.open(3)) for item in items])
    worth = candidates(Descriptors.of(Describer()(pixels)[0]), None)
    expected = {(place, 30 + place) for place in range(len(CHANGES))}
    found = verified(worth, items, Chunks())
    assert {(pair.first, pair.second) for pair in found} == expected
    assert {pair.second - 30 for pair in found if pair.mirrored} == {6, 7}
    assert {pair.found_by for pair in found} == {"hash"}
    (tmp_path / "kept").mkdir()
    kept = begin(tmp_path / "kept", {"about": 1})
    assert verified(worth, items, kept) == found
    again = begin(tmp_path / "kept", {"about": 1})
    assert verified(worth, [], again) == found, "what is known already is not looked at again"


def test_an_image_that_is_gone_is_no_copy() -> None:
    class Gone(DecodedItem):
        def open(self, channels: int = 3, *, enough: int | None = None) -> Image.Image:
            from vitrail.errors import ImageError

            raise ImageError(self.name, "it is gone")

    items = [DecodedItem("a", scene(1)), Gone("b", scene(1)), DecodedItem("c", scene(1))]
    found = verified({(0, 1): "hash", (0, 2): "hash"}, items, Chunks())
    assert [(pair.first, pair.second) for pair in found] == [(0, 2)]


def test_encoders_find_pairs_that_pixels_do_not() -> None:
    random = np.random.default_rng(9)
    waves = random.standard_normal((20, WAVES * WAVES - 1)).astype(np.float32)
    descriptors = Descriptors(*(np.zeros(20, np.float32) for _ in range(3)), waves)
    vectors = random.standard_normal((20, 32)).astype(np.float32)
    vectors[13] = vectors[4] + 0.01
    assert (4, 13) not in candidates(descriptors, None)
    assert candidates(descriptors, vectors)[4, 13] == "features"


def test_groups_hold_all_that_pairs_connect() -> None:
    assert groups(7, [(5, 2), (1, 3), (2, 6)]).tolist() == [0, 1, 2, 1, 4, 2, 2]


def _squashed(image: Image.Image) -> torch.Tensor:
    resized = image.resize((256, 256), Image.Resampling.BILINEAR)
    return torch.from_numpy(np.asarray(resized).copy()).permute(2, 0, 1)
