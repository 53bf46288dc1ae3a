"""A stranger's annotations and masks: opened with exact numbers, or one sentence, in little time and memory.

The ordinary suite tries a sample of each kind; ``pytest -m slow`` tries thousands.
"""

import copy
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import vitrail
from vitrail.cli import main
from vitrail.data.coco import open_coco
from vitrail.data.images import open_indices
from vitrail.data.objects import ObjectImages
from vitrail.data.rle import encode
from vitrail.errors import VitrailError

SIZE = (30, 20)
MEMORY = 2_000_000_000
SECONDS = 10.0


def sound() -> dict[str, Any]:
    """Return a small sound file's content: polygons, run lengths packed and not, a crowd, a box alone."""
    mask = np.zeros(SIZE[::-1], dtype=bool)
    mask[4:9, 3:20] = True
    masks = [[[2.0, 2, 12, 2, 12, 10, 2, 10]], encode(mask), {"size": [20, 30], "counts": [100, 200, 300]}, None]
    annotations = [
        {"id": n, "image_id": n % 3, "category_id": 3 + n % 2, "bbox": [2, 2, 10.5, 8], "area": 80.0, "iscrowd": n // 5}
        for n in range(6)
    ]
    for number, annotation in enumerate(annotations):
        annotation["segmentation"] = masks[number % 4]
    return {
        "info": {"year": 2020},
        "images": [{"id": n, "file_name": f"{n}.png", "width": SIZE[0], "height": SIZE[1]} for n in range(3)],
        "categories": [{"id": 3, "name": "cat"}, {"id": 4, "name": "dog"}],
        "annotations": annotations,
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "annotations").mkdir()
    (tmp_path / "images" / "train").mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", SIZE, (number, 90, 30)).save(tmp_path / "images" / "train" / f"{number}.png")
    return tmp_path


def answer(root: Path, content: bytes) -> str:
    """Open a file in full, and ask the doctor; return the sentence it is refused with, "" where it is opened."""
    (root / "annotations" / "instances_train.json").write_bytes(content)
    said = ""
    try:
        images = open_coco(root, validation_share=0.0).train
        assert isinstance(images, ObjectImages)
        for known in images.annotated:
            objects = known.objects()
            assert objects.boxes.isfinite().all()
            assert objects.masks.shape == (len(objects), SIZE[1], SIZE[0])
            known.truth()
    except VitrailError as error:
        said = str(error)
        assert said
        assert "\n" not in said
    assert not said or doctor_objects(root), said
    return said


def doctor_objects(root: Path) -> bool:
    """Whether the doctor names something that is wrong, or refuses the set in one sentence."""
    try:
        found = vitrail.doctor(str(root))["data"]
    except VitrailError as error:
        return "\n" not in str(error)
    return bool(found["mistakes"] or found["damaged"])


STRANGE: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, 0.5, -0.0, 1e18, 1e300, float("nan"), float("inf"), "", " ", "7",
    "x", "\0", "../../etc/passwd", "a" * 5000, "\ud800", [], [[]], [None], [1, 2, 3], {}, {"id": 1}, [[1, 2]] * 3,
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the ways to every value inside JSON."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(one for key, part in inside for one in places(part, (*path, key)))]


def with_a_strange_value(chance: random.Random) -> bytes:
    """Replace, remove or repeat one to three values anywhere in a sound file."""
    content = copy.deepcopy(sound())
    for _ in range(chance.randint(1, 3)):
        *way, last = chance.choice(places(content)[1:])
        parent: Any = content
        for key in way:
            parent = parent[key]
        kind = chance.random()
        if kind < 0.7:
            parent[last] = copy.deepcopy(chance.choice(STRANGE))
        elif kind < 0.85:
            del parent[last]
        elif isinstance(parent, list):
            parent.insert(last, copy.deepcopy(parent[last]))
    return json.dumps(content).encode()


def with_wrong_bytes(chance: random.Random) -> bytes:
    """Flip, cut or repeat bytes of a sound file."""
    content = bytearray(json.dumps(sound()).encode())
    for _ in range(chance.randint(1, 8)):
        place = chance.randrange(len(content))
        kind = chance.random()
        if kind < 0.6:
            content[place] = chance.randrange(256)
        elif kind < 0.8:
            del content[place : place + chance.randint(1, 40)]
        else:
            content[place:place] = content[place : place + chance.randint(1, 40)]
    return bytes(content)


@pytest.mark.parametrize("change", [with_a_strange_value, with_wrong_bytes])
@pytest.mark.parametrize("count", [60, pytest.param(3000, marks=pytest.mark.slow)])
def test_changed_files_are_opened_exactly_or_answered_in_one_sentence(
    change: Callable[[random.Random], bytes], count: int, root: Path
) -> None:
    chance = random.Random(count)
    refused = sum(bool(answer(root, change(chance))) for _ in range(count))
    assert 0.2 * count < refused, "the changes are too small to find anything"


def test_an_image_whose_name_is_too_long_is_named_by_doctor_and_training(root: Path) -> None:
    content = sound()
    content["images"][0]["file_name"] = "a" * 5000
    (root / "annotations" / "instances_train.json").write_text(json.dumps(content))
    assert doctor_objects(root)
    content["annotations"][0]["bbox"] = "x"
    assert answer(root, json.dumps(content).encode())


RECORD = b'{"id":1,"image_id":0,"category_id":3,"bbox":[1,1,9,9]'
HEAD = json.dumps({key: value for key, value in sound().items() if key != "annotations"}).encode()[:-1]


def file_of(annotations: bytes) -> bytes:
    return HEAD + b', "annotations": ' + annotations + b"}"


def repeated(text: bytes, size: int) -> bytes:
    return b",".join([text] * (size // (len(text) + 1) + 1))


BOMBS: dict[str, Callable[[int], bytes]] = {
    "brackets": lambda size: file_of(b"[" + repeated(b"[]", size) + b"]"),
    "small records": lambda size: file_of(b"[" + repeated(b'{"id":1}', size) + b"]"),
    "records": lambda size: file_of(b"[" + repeated(RECORD + b"}", size) + b"]"),
    "deep": lambda size: file_of(b"[" * size),
    "digits": lambda size: file_of(b"1" * size),
    "zeros": lambda size: file_of(b"[" + b"0," * (size // 2) + b"0]"),
    "corners": lambda size: file_of(b"[" + RECORD + b',"segmentation":[[' + repeated(b"1,7", size) + b"]]}]"),
    "polygons": lambda size: file_of(
        b"[" + RECORD + b',"segmentation":[' + repeated(b"[1,1,29,19,29,1]", size) + b"]}]"
    ),
    "packed": lambda size: file_of(
        b"[" + RECORD + b',"segmentation":{"size":[20,30],"counts":"' + b"o" * size + b'"}}]'
    ),
    "runs": lambda size: file_of(
        b"[" + RECORD + b',"segmentation":{"size":[20,30],"counts":[' + b"0," * (size // 2) + b"600]}}]"
    ),
    "a name": lambda size: file_of(b"[]").replace(b'"cat"', b'"' + "😀".encode() * (size // 4) + b'"'),
    "a promise": lambda size: file_of(b"[" + RECORD + b"}]").replace(b'"width": 30', b'"width": 100000000000'),
}

OPENED = ("records", "corners")
"""What is only large may be opened, as quickly."""

OPEN = """
import sys, time
from pathlib import Path
from vitrail.data.coco import open_coco
from vitrail.errors import DataError
began = time.process_time()
try:
    open_coco(sys.argv[1], validation_share=0.0)
except DataError as error:
    print(str(error)[:300])
# The peak that getrusage tells begins with the parent's.
(peak,) = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(time.process_time() - began, 1024 * int(peak))
"""


@pytest.mark.parametrize("name", BOMBS)
def test_small_bombs_are_answered_at_once(name: str, root: Path) -> None:
    began = time.process_time()
    said = answer(root, BOMBS[name](300_000))
    assert said or name in OPENED
    assert time.process_time() - began < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < 2 * MEMORY


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from Linux")
@pytest.mark.parametrize("name", BOMBS)
def test_a_hundred_megabytes_take_ten_seconds_and_two_gigabytes_at_most(name: str, root: Path) -> None:
    (root / "annotations" / "instances_train.json").write_bytes(BOMBS[name](100_000_000))
    done = subprocess.run([sys.executable, "-c", OPEN, str(root)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *said, figures = done.stdout.splitlines()
    seconds, memory = map(float, figures.split())
    assert len(said) == 1 or name in OPENED
    assert seconds < SECONDS
    assert memory < MEMORY


@pytest.mark.parametrize("verb", ["doctor", "train"])
def test_commands_answer_a_strange_file_without_a_traceback(
    verb: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(11)
    out = root / "run"
    words = ["--task", "detect", "--out", str(out)] if verb == "train" else []
    for _ in range(8):
        content = with_a_strange_value(chance)
        if verb == "train" and not answer(root, content):
            continue
        (root / "annotations" / "instances_train.json").write_bytes(content)
        code = main([verb, str(root), *words])
        told = capsys.readouterr()
        assert "Traceback" not in told.err + told.out
        assert code == 2 if verb == "train" else code in (0, 1, 2)
        assert not out.exists()


@pytest.mark.parametrize("count", [60, pytest.param(3000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".gif"])
def test_changed_masks_are_read_as_numbers_or_answered_in_one_sentence(suffix: str, count: int, tmp_path: Path) -> None:
    chance = random.Random(count)
    file = tmp_path / f"mask{suffix}"
    values = np.random.RandomState(3).randint(0, 4, (20, 30)).astype(np.uint8)
    image = Image.fromarray(values)
    image.putpalette([n % 256 for n in range(768)])
    image.save(file)
    whole = file.read_bytes()
    for _ in range(count):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        file.write_bytes(bytes(content))
        try:
            found = open_indices(file)
        except VitrailError as error:
            said = str(error)
        else:
            said = ""
            assert found.dtype == np.uint8
            assert found.ndim == 2
        assert "\n" not in said
