"""Checkpoints that are whole or absent: written aside, made durable, then renamed into their place.

::

    run/checkpoints/
      step_00000120/   model.safetensors  what predicting needs
                       config.json        the settings, preprocessing and class names of the run
                       training.pt        what going on needs
                       ...                files of the caller's, the same in every checkpoint
      last             holds the text "step_00000120"
      best             likewise, where something is evaluated
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from vitrail.errors import TrainingError, WeightsError, nearest
from vitrail.training.opening import load_plain

Pointer = Literal["last", "best"]
MODEL, CONFIG, TRAINING = "model.safetensors", "config.json", "training.pt"


def save(
    folder: Path,
    step: int,
    *,
    model: dict[str, Tensor],
    config: dict[str, Any],
    training: dict[str, Any],
    best: bool,
    keep: int,
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Write the checkpoint of ``step`` into the checkpoints folder and return its own folder.

    Whenever the process or the machine stops in here, ``last`` names a whole checkpoint. Only when the
    pointers name the new one are old ones removed: the ``keep`` newest and the best stay.

    Args:
        folder: the ``checkpoints`` folder of the run.
        step: optimizer steps done so far.
        model: goes into ``model.safetensors``.
        config: goes into ``config.json``.
        training: goes into ``training.pt``; tensors, numbers, strings, lists and dicts only.
        best: whether ``best`` shall point here too.
        keep: how many of the newest checkpoints stay.
        files: the content of more files by their names, for predicting as for going on.

    Raises:
        TrainingError: it cannot be written, say because the disk is full; earlier ones are untouched.
    """
    target = folder / _name(step)
    unfinished = target.with_suffix(".tmp")
    try:
        unfinished.mkdir(parents=True)
        save_file({name: tensor.contiguous() for name, tensor in model.items()}, unfinished / MODEL)
        _make_durable(unfinished / MODEL)
        _write(unfinished / CONFIG, (json.dumps(config, indent=2) + "\n").encode())
        for name, content in (files or {}).items():
            _write_or_link(unfinished / name, content, pointed(folder, "last"))
        with (unfinished / TRAINING).open("wb") as file:
            torch.save(training, file)
        _make_durable(unfinished / TRAINING)
        _make_durable(unfinished)
        unfinished.rename(target)
        _make_durable(folder)
        point(folder, "last", step)
        if best:
            point(folder, "best", step)
    except (OSError, RuntimeError, SafetensorError) as error:
        clean(folder)
        raise TrainingError(_why_not_saved(folder, step, error)) from error
    _prune(folder, keep)
    return target


def point(folder: Path, pointer: Pointer, step: int) -> None:
    """Let ``last`` or ``best`` name the checkpoint of ``step``, from one moment to the next."""
    unfinished = folder / f"{pointer}.tmp"
    _write(unfinished, f"{_name(step)}\n".encode())
    unfinished.replace(folder / pointer)
    _make_durable(folder)


def pointed(folder: Path, pointer: Pointer) -> Path | None:
    """Return the checkpoint that ``last`` or ``best`` names, or None where there is no such pointer."""
    try:
        return folder / (folder / pointer).read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None


def clean(folder: Path) -> None:
    """Remove what a save that failed left: unfinished files, and checkpoints that ``last`` never reached."""
    for leftover in folder.glob("*.tmp"):
        _remove(leftover)
    last = pointed(folder, "last")
    for checkpoint in _checkpoints(folder):
        if last is None or checkpoint.name > last.name:
            _remove(checkpoint)


def load_training(checkpoint: Path) -> dict[str, Any]:
    """Read ``training.pt`` of a checkpoint onto the CPU; nothing in it is ever executed.

    Raises:
        TrainingError: the file is missing or damaged.
    """
    path = checkpoint / TRAINING
    try:
        return load_plain(path)
    except Exception as error:  # torch.load raises whatever the damaged bytes lead it to
        raise TrainingError(
            f"{path} cannot be read ({_first_line(error)}); write the name of an older checkpoint into "
            f"{checkpoint.parent / 'last'}, or start again in a new folder"
        ) from error


def resolve(path: str | Path, prefer: Pointer = "best") -> Path:
    """Find the checkpoint that ``path`` means.

    Args:
        path: a run folder, its ``checkpoints`` folder, a checkpoint, or a pointer file (``last``, ``best``).
        prefer: which of a run's checkpoints is meant when ``path`` leaves it open; the other one takes its
            place where it is missing.

    Raises:
        WeightsError: there is no checkpoint.
    """
    path = Path(path)
    if found := _find(path, prefer):
        return found
    if path.exists():
        raise WeightsError(f"{path} holds no checkpoint; give a run folder, or a folder with {MODEL} in it")
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    raise WeightsError(f"{path} does not exist{nearest(path.name, siblings)}")


def is_checkpoint(path: str | Path) -> bool:
    """Tell whether `resolve` finds a checkpoint at ``path``."""
    return _find(Path(path), "best") is not None


def _find(path: Path, prefer: Pointer) -> Path | None:
    if path.name in ("last", "best") and path.is_file():
        candidates = [path.parent / path.read_text().strip()]
    else:
        folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
        candidates = [path, *(pointed(folder, name) for name in (prefer, "last", "best"))]
    return next((found for found in candidates if found and (found / MODEL).is_file()), None)


def _name(step: int) -> str:
    return f"step_{step:08d}"


def _checkpoints(folder: Path) -> list[Path]:
    """List the whole checkpoints, oldest first."""
    return sorted(path for path in folder.glob("step_*") if path.suffix != ".tmp")


def _prune(folder: Path, keep: int) -> None:
    pointed_at = {pointed(folder, "last"), pointed(folder, "best")}
    checkpoints = _checkpoints(folder)
    for checkpoint in checkpoints[: max(0, len(checkpoints) - max(1, keep))]:
        if checkpoint not in pointed_at:
            _remove(checkpoint)


def _remove(path: Path) -> None:
    """Delete a file or folder; a folder is renamed first, so that no half of one looks like a checkpoint."""
    if path.is_file():
        path.unlink()
        return
    if path.suffix != ".tmp":
        path = path.rename(path.with_suffix(".tmp"))
    shutil.rmtree(path)


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    _make_durable(path)


def _write_or_link(path: Path, content: bytes, before: Path | None) -> None:
    """Write a file, or link it to that of an earlier checkpoint, which is on the disk already."""
    older = before / path.name if before else path
    try:
        if older.stat(follow_symlinks=False).st_size == len(content) and older.read_bytes() == content:
            os.link(older, path, follow_symlinks=False)
            return
    except OSError:
        pass  # There is none, or the file system knows no links.
    _write(path, content)


def _make_durable(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk rather than in its cache."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders; NTFS journals renames by itself.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _why_not_saved(folder: Path, step: int, error: BaseException) -> str:
    # When a write fails, torch goes on to close its archive and fails again: the first error is the reason.
    while error.__context__:
        error = error.__context__
    last = pointed(folder, "last")
    kept = f"{last} is untouched" if last else "nothing was saved before"
    free = shutil.disk_usage(folder).free if folder.is_dir() else 0
    return (
        f"the checkpoint of step {step} could not be written to {folder} ({_first_line(error)}; "
        f"{free / 2**20:,.0f} MiB are free); {kept}: make room and run the same command again"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


__all__ = ["clean", "is_checkpoint", "load_training", "point", "pointed", "resolve", "save"]
