"""What lies beside weights: reading what it says of a model, and writing without losing what was there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from vitrail.errors import WeightsError

LARGEST_JSON = 64 * 2**20
"""Bytes of a file beside weights; the names of a million classes take fewer."""

CONFIG, PROCESSOR = "config.json", "preprocessor_config.json"


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; empty where there is no file, or it holds something else."""
    try:
        if not inside(path.parent, path.name).is_file() or path.stat().st_size > LARGEST_JSON:
            return {}
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, WeightsError):
        return {}
    return content if isinstance(content, dict) else {}


def read_stated(path: Path) -> dict[str, Any]:
    """Read a JSON object that decides what weights mean; empty where there is no file.

    Raises:
        WeightsError: there is one, and it cannot be read or holds something else: what it said would be guessed.
    """
    try:
        if not inside(path.parent, path.name).is_file():
            return {}
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError(f"it is larger than {LARGEST_JSON:,} bytes")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(content, dict):
            raise ValueError("it holds no JSON object")
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(
            f"{path} is damaged ({reason}), and says how the weights beside it are to be used; "
            "copy or fetch it again, or remove it to have that guessed"
        ) from None
    return content


def inside(folder: Path, name: str) -> Path:
    """Return the path of a checkpoint's file, unless a link there leads out of the folder.

    Files of a hub's local cache are links into the store beside their folder; these are followed.

    Raises:
        WeightsError: the link leads elsewhere.
    """
    path = folder / name
    if path.is_symlink():
        target, home = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
        store = home.parent.parent / "blobs" if home.parent.name == "snapshots" else home
        if not target.is_relative_to(home) and not target.is_relative_to(store):
            raise WeightsError(f"{path} is a link that leads out of its folder, and was refused; copy the file there")
    return path


def class_names_of(notes: dict[str, Any], config: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes that stand in a weights file or in the config beside it; empty where none do.

    Args:
        notes: of vitrail's in the file.
        config: of vitrail's, transformers' or timm's beside it.
    """
    pretrained = config.get("pretrained_cfg")
    timms = config.get("label_names") or (pretrained.get("label_names") if isinstance(pretrained, dict) else None)
    for names in (notes.get("class_names"), config.get("class_names"), _by_number(config), timms):
        if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
            return tuple(names)
    return ()


def _by_number(config: dict[str, Any]) -> list[Any] | None:
    """Return transformers' names, unless they are the placeholders it makes up itself."""
    names = config.get("id2label")
    if not isinstance(names, dict) or all(str(name).startswith("LABEL_") for name in names.values()):
        return None
    return [names.get(str(number)) for number in range(len(names))]


def heads_of(notes: dict[str, Any], config: dict[str, Any]) -> int | None:
    """Return the number of heads that stands in a file or in transformers' or timm's config; None if in none.

    Args:
        notes: of vitrail's in the file.
        config: what lies beside it.
    """
    arguments = config.get("model_args")
    timms = arguments.get("num_heads") if isinstance(arguments, dict) else None
    said = notes.get("num_heads") or config.get("num_attention_heads") or timms
    return said if type(said) is int and said > 0 else None


def write_beside(file: Path, contents: dict[str, dict[str, Any]]) -> None:
    """Write JSON files into the folder of another.

    Raises:
        WeightsError: one cannot be written.
    """
    for name, content in contents.items():
        path = file.with_name(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise WeightsError(f"{path} cannot be written ({error.strerror or error})") from None


def check_beside(file: Path, contents: dict[str, dict[str, Any]]) -> None:
    """Refuse to write over what belongs to other weights in the same folder.

    Raises:
        WeightsError: a file is there already and says something else.
    """
    for name, content in contents.items():
        path = file.with_name(name)
        if path.exists() and read_json(path) != json.loads(json.dumps(content)):
            raise WeightsError(f"{path} is there already and belongs to other weights; give another folder")
