"""The list of a run's images: fingerprints, its file, and what becomes of images that change in any way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitrail.data.changes import check_classes, compare, seen_as
from vitrail.data.image_list import FILE, LEARNED_FROM, ImageList, read_list
from vitrail.data.item import item_of
from vitrail.errors import DataError

NAMES = st.sampled_from([*"abcdefgh", "a b", "ä/é.png", "x\ty", "line\nbreak", "\udcff.jpg", "\u2028"])
CONTENTS = st.integers(0, 12)


@st.composite
def lists(draw: st.DrawFn, splits: tuple[str, ...]) -> ImageList:
    rows = draw(st.lists(st.tuples(NAMES, CONTENTS, st.integers(0, 2), st.sampled_from(splits)), max_size=14))
    names, prints, labels, own = zip(*rows, strict=True) if rows else ((), (), (), ())
    return ImageList(names, prints, labels, own, ("ant", "bee"), draw(st.booleans()))


KNOWN = lists(("train", "validation", "test", "unused", "gone"))
NOW = lists(("train", "validation", "test"))


@given(KNOWN, NOW)
def test_whatever_changes_what_was_learned_from_is_learned_from_or_nothing(known: ImageList, now: ImageList) -> None:
    learned = known.contents(LEARNED_FROM)
    held_too = known.contents({"validation", "test", "unused"})
    changes = compare(known, now)
    for content, split in zip(now.prints, changes.splits, strict=True):
        if content in learned and content not in held_too:
            assert split in ("train", None)
        if content in held_too and content not in learned:
            assert split != "train"
    assert learned <= changes.images.contents(LEARNED_FROM)


@given(KNOWN, NOW)
def test_an_image_of_known_content_alone_is_never_called_new_or_held_out(known: ImageList, now: ImageList) -> None:
    learned, every = known.contents(LEARNED_FROM), set(known.prints)
    held_too = known.contents({"validation", "test", "unused"})
    for content, was in zip(now.prints, seen_as(known, now), strict=True):
        assert (was is None) == (content not in every)
        if content in learned and content not in held_too:
            assert was == "train"


@given(known=KNOWN)
def test_a_list_is_read_as_it_was_written(known: ImageList, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("list")
    (folder / FILE).write_bytes(known.pack())
    assert read_list(folder) == known


@given(KNOWN, st.randoms())
def test_digests_do_not_depend_on_the_order(known: ImageList, random: object) -> None:
    order = list(range(len(known)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = ImageList(
        *(tuple(values[n] for n in order) for values in (known.names, known.prints, known.labels, known.splits))
    )
    assert shuffled.summary() == known.summary()


@pytest.mark.parametrize("size", [0, 1, 8192, 8193, 100_000])
def test_a_fingerprint_tells_contents_and_sizes_apart(size: int, tmp_path: Path) -> None:
    content = bytearray(os.urandom(size))
    path = tmp_path / "a.png"
    path.write_bytes(content)
    first = item_of(path).identity()
    path.rename(tmp_path / "b.png")
    assert item_of(tmp_path / "b.png").identity() == first
    path.write_bytes(content + b"0")
    assert item_of(path).identity() != first
    if size:
        content[-1] ^= 1
        path.write_bytes(content)
        assert item_of(path).identity() != first


def test_a_pipe_or_a_missing_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    assert item_of(tmp_path / "x.jpg").identity() != item_of(tmp_path / "missing.jpg").identity()


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (("ant", "bee", "eel"), "it has 2, data has 3: 'eel' is new"),
        (("ant",), "'bee' is missing"),
        (("ant", "cat"), "'cat' is new and 'bee' is missing"),
        (("bee", "ant"), "they stand in another order"),
    ],
)
def test_other_classes_are_named(now: tuple[str, ...], said: str) -> None:
    with pytest.raises(DataError, match="run was begun with other classes") as refused:
        check_classes(("ant", "bee"), now, "run", "data")
    assert said in str(refused.value)
