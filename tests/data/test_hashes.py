"""SHA-256 of a data set."""

import hashlib
import os
from pathlib import Path

from PIL import Image

from tests.commands.data_sets import class_folders, records
from vitrail.data.hashes import data_sha256
from vitrail.data.image_list import parts_of
from vitrail.data.sources import Images, open_source


def hashed(root: Path):
    source = open_source(str(root), validation_share=0)
    return data_sha256(parts_of(source), root, source.class_names)


def test_the_hash_is_that_of_sorted_lines_written_out_by_hand(tmp_path: Path) -> None:
    root = class_folders(tmp_path / "data", (*records(2, split="train"), *records(1, split="test", first=9)))
    lines = []
    for split in ("test", "train"):
        for path in sorted((root / split).glob("*/*")):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            lines.append(f"{content}\t{split}\t{path.parent.name}\t{split}/{path.parent.name}/{path.name}\n")
    found = hashed(root)
    assert found.sha256 == hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    assert (found.images, found.unreadable) == (6, 0)


def test_the_hash_stays_when_the_folder_moves_and_changes_with_a_byte_a_name_or_a_class(tmp_path: Path) -> None:
    data = records(3, split="train")
    known = hashed(class_folders(tmp_path / "data", data)).sha256
    assert hashed(class_folders(tmp_path / "elsewhere", tuple(reversed(data)))).sha256 == known
    moved = class_folders(tmp_path / "c", data)
    (moved / "train" / "ant" / "trainant0.bmp").rename(moved / "train" / "bee" / "trainant0.bmp")
    renamed = class_folders(tmp_path / "d", data)
    (renamed / "train" / "ant" / "trainant0.bmp").rename(renamed / "train" / "ant" / "other.bmp")
    byte = class_folders(tmp_path / "e", data)
    file = byte / "train" / "ant" / "trainant0.bmp"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    assert len({known, hashed(moved).sha256, hashed(renamed).sha256, hashed(byte).sha256}) == 4


def test_images_in_memory_are_hashed_by_their_pixels_and_what_cannot_be_read_is_counted(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 2), "red")
    os.mkfifo(tmp_path / "pipe.png")
    images = Images((image, tmp_path / "pipe.png"), (0, 0), ("a", "b"))
    found = data_sha256([("train", images)], tmp_path, ("only",))
    lines = [f"{hashlib.sha256(image.tobytes()).hexdigest()}\ttrain\tonly\ta\n", "unreadable\ttrain\tonly\tpipe.png\n"]
    assert found.sha256 == hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    assert (found.images, found.unreadable) == (2, 1)
