"""Paths that no file can have are one sentence wherever Python hands them in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vitrail
from vitrail.data.coco import open_coco
from vitrail.data.segment_folders import is_segments, open_segments, read_names
from vitrail.data.sources import open_source
from vitrail.errors import DataError, VitrailError, WeightsError
from vitrail.paths import user_path
from vitrail.runs.data_check import check

OPENERS: dict[str, Callable[[Any], Any]] = {
    "open_source": open_source,
    "open_coco": open_coco,
    "open_segments": open_segments,
    "read_names": read_names,
    "doctor": check,
    "predict, data": lambda path: vitrail.predict("nowhere", path),
    "predict, model": lambda path: vitrail.predict(path, "nowhere.png"),
    "look, data": lambda path: vitrail.look("nowhere", path),
    "look, model": lambda path: vitrail.look(path),
    "probe": lambda path: vitrail.probe("nowhere", path),
    "from_pretrained": vitrail.from_pretrained,
    "train": vitrail.train,
    "train, weights": lambda path: vitrail.train("digits", weights=path),
}


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize("path", ["~nobody9/x", "a\0b", "x" * 300, Path("~nobody9/x")], ids=repr)
def test_a_path_that_leads_nowhere_is_a_sentence_in_python_too(
    opener: str, path: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VitrailError):
        OPENERS[opener](path)
    assert not list(tmp_path.iterdir())


def test_a_home_is_the_users_and_that_of_nobody_is_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/some/home")
    assert user_path("~/x") == Path("/some/home/x")
    assert user_path("~nobody9/x") == Path("~nobody9/x")
    assert not is_segments("~nobody9/x")


@pytest.mark.parametrize("error", [DataError, WeightsError])
def test_what_is_no_path_is_refused_with_the_error_that_was_asked_for(error: type[VitrailError]) -> None:
    for wrong in (3, None, b"x", "a\0b"):
        with pytest.raises(error, match=r"expected a path|cannot be the path"):
            user_path(wrong, error)
