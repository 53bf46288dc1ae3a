"""JSON that every reader takes, and files that are whole or as they were."""

import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitrail.serialize import dumps, write_json, write_whole

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@given(VALUES)
def test_whatever_the_numbers_are_strict_readers_take_the_json(value: object) -> None:
    json.loads(dumps(value), parse_constant=refuse)


@dataclass(frozen=True)
class Found:
    top1: float
    where: Path
    names: tuple[str, ...]


def test_dataclasses_paths_and_arrays_are_written_and_what_is_not_finite_is_null() -> None:
    value = {
        "found": Found(math.nan, Path("a/b"), ("x",)),
        "numpy": np.float32("inf"),
        "torch": torch.tensor([1.0, -math.inf]),
        3: {2, 1},
    }
    assert json.loads(dumps(value)) == {
        "found": {"top1": None, "where": "a/b", "names": ["x"]},
        "numpy": None,
        "torch": [1.0, None],
        "3": [1, 2],
    }
    with pytest.raises(TypeError, match="object"):
        dumps(object())


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(tmp_path / "a.json", {"a": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_json(tmp_path / "a.json", {"a": 2})
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": 1}


def test_a_link_is_replaced_and_what_it_points_to_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "a.json").symlink_to(tmp_path / "precious")
    write_whole(tmp_path / "a.json", b"new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "a.json").read_text() == "new"
    assert not (tmp_path / "a.json").is_symlink()


def test_files_get_the_mode_that_the_user_asked_the_system_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


def test_every_json_that_a_command_prints_is_strict() -> None:
    import vitrail

    for path in Path(vitrail.__file__).parent.rglob("*.py"):
        assert not re.search(r"(print|say)\(json\.dumps", path.read_text()), f"{path} may print NaN"
