"""Checkpoints that are whole or absent: written aside, made durable, then renamed into their place.

::

    run/checkpoints/
      step_00000120/   model.safetensors  what predicting needs
                       config.json        the settings, preprocessing and class names of the run
                       training.pt        what going on needs
                       ...                files of the caller's, the same in every checkpoint
                       digests.json       checksums of these files
      last             holds the text "step_00000120"
      best             likewise, where something is evaluated
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from vitrail.errors import TrainingError, WeightsError, nearest
from vitrail.serialize import dumps
from vitrail.serialize import make_durable as _make_durable
from vitrail.training.digests import DIGESTS, Digests, damage
from vitrail.training.opening import load_plain

Pointer = Literal["last", "best"]
MODEL, CONFIG, TRAINING = "model.safetensors", "config.json", "training.pt"
NAME = re.compile(r"step_[0-9]{8,}")
DAMAGED = ".damaged"
"""Ending of the name of a checkpoint that was set aside."""
MOST_BYTES_OF_A_POINTER = 100


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
        with Digests() as digests:
            weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.items()}
            save_file(weights, unfinished / MODEL)
            digests.add_weights(unfinished / MODEL, weights)
            _make_durable(unfinished / MODEL)
            _write(unfinished / CONFIG, (dumps(config, indent=2) + "\n").encode())
            digests.add(unfinished / CONFIG)
            for name, content in (files or {}).items():
                # No link to an earlier checkpoint's: what damaged one would damage all.
                _write(unfinished / name, content)
                digests.add(unfinished / name)
            with (unfinished / TRAINING).open("wb") as file:
                torch.save(training, file)
            digests.add(unfinished / TRAINING)
            _make_durable(unfinished / TRAINING)
            _write(unfinished / DIGESTS, digests.json())
        (unfinished / MODEL).chmod((unfinished / CONFIG).stat().st_mode)  # safetensors keeps its files private
        _make_durable(unfinished)
        unfinished.rename(target)
        _make_durable(folder)
        point(folder, "last", step)
        if best:
            point(folder, "best", step)
    except (OSError, RuntimeError, SafetensorError) as error:
        with contextlib.suppress(OSError):  # what could not be written may not be removable either
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
    """Return the checkpoint that ``last`` or ``best`` names, or None where the pointer names none that is there."""
    try:
        if not (folder / pointer).is_file():  # a pipe would be waited for
            return None
        with (folder / pointer).open("rb") as file:
            name = file.read(MOST_BYTES_OF_A_POINTER).decode("ascii", "replace").strip()
    except OSError:
        return None
    return folder / name if NAME.fullmatch(name) and _is_folder(folder / name) else None


def clean(folder: Path) -> None:
    """Remove what a save that failed left: unfinished files, and checkpoints that ``last`` never reached.

    Where ``last`` names no checkpoint, all of them stay.
    """
    for leftover in folder.glob("*.tmp"):
        _remove(leftover)
    last = pointed(folder, "last")
    for checkpoint in _checkpoints(folder) if last else []:
        if _step(checkpoint) > _step(last or checkpoint):
            _remove(checkpoint)


def recover(folder: Path) -> list[str]:
    """Make ``last`` name a whole checkpoint, and remove what a killed run wrote after it.

    Where it names none, or one that is damaged, the newest whole one takes its place. Damaged ones are set aside under
    another name, nothing of them is removed.

    Returns:
        What was done, a sentence each; nothing where all is well.

    Raises:
        TrainingError: there are checkpoints and none of them is whole; nothing was changed.
    """
    last = pointed(folder, "last")
    found = [path for path in reversed(_checkpoints(folder)) if last is None or _step(path) <= _step(last)]
    damaged: dict[Path, str] = {}
    whole = None
    for path in found:
        reason = _damage(path)
        if reason is None:
            whole = path
            break
        damaged[path] = reason
    if found and whole is None:
        raise TrainingError(
            f"no checkpoint in {folder} is whole ({found[0].name}: {damaged[found[0]]}); nothing was changed: bring it "
            "back from a copy, or start again in a new folder"
        )
    notes = [f"{path.name} is damaged ({reason}); it was set aside" for path, reason in damaged.items()]
    if whole is not None and last is None:
        notes.append(f"{folder / 'last'} names no checkpoint; going on from the newest whole one, {whole.name}")
    for path in damaged:
        _set_aside(path)
    if whole is not None and whole != last:
        point(folder, "last", _step(whole))
    clean(folder)
    return notes


def _damage(checkpoint: Path) -> str | None:
    missing = [name for name in (MODEL, CONFIG, TRAINING) if not (checkpoint / name).is_file()]
    return f"{missing[0]} is missing" if missing else damage(checkpoint)


def _set_aside(checkpoint: Path) -> None:
    aside = checkpoint.with_name(checkpoint.name + DAMAGED)
    if aside.exists() or aside.is_symlink():
        _remove(aside)
    checkpoint.rename(aside)


def check_whole(checkpoint: Path) -> None:
    """Compare what using a checkpoint needs with its digests; one of an older vitrail has none.

    Raises:
        WeightsError: a file is not what was saved.
    """
    reason = damage(checkpoint, {path.name for path in checkpoint.iterdir()} - {TRAINING})
    if reason is None:
        return
    others = [path.name for path in reversed(_checkpoints(checkpoint.parent)) if path != checkpoint]
    instead = f"give another one: {checkpoint.parent / others[0]}" if others else "bring it back from a copy"
    raise WeightsError(f"{checkpoint} is damaged ({reason}); {instead}")


def newest_described(run: Path) -> Path | None:
    """Return the newest checkpoint of a run whose description is whole, as `recover` would find it; None without one.

    Neither the weights nor ``training.pt`` are looked at, so that this takes no time.
    """
    folder = run / "checkpoints"
    last = pointed(folder, "last")
    for path in reversed(_checkpoints(folder)):
        if last is not None and _step(path) > _step(last):
            continue
        described = {file.name for file in path.iterdir()} - {MODEL, TRAINING}
        if CONFIG in described and damage(path, described) is None:
            return path
    return None


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
    candidates: list[Path | None]
    if path.name == "last" and path.is_file():
        candidates = [pointed(path.parent, "last")]
    elif path.name == "best" and path.is_file():
        candidates = [pointed(path.parent, "best")]
    else:
        folder = path / "checkpoints" if (path / "checkpoints").is_dir() else path
        candidates = [path, *(pointed(folder, name) for name in (prefer, "last", "best"))]
        candidates += reversed(_checkpoints(folder))
    return next((found for found in candidates if found and (found / MODEL).is_file()), None)


def _name(step: int) -> str:
    return f"step_{step:08d}"


def _checkpoints(folder: Path) -> list[Path]:
    """List the checkpoints, oldest first; a link is none."""
    found = (path for path in folder.glob("step_*") if NAME.fullmatch(path.name) and _is_folder(path))
    return sorted(found, key=_step)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step_"))


def _is_folder(path: Path) -> bool:
    """Tell whether a path is a folder, and no link to one."""
    return path.is_dir() and not path.is_symlink()


def _prune(folder: Path, keep: int) -> None:
    pointed_at = {pointed(folder, "last"), pointed(folder, "best")}
    checkpoints = _checkpoints(folder)
    for checkpoint in checkpoints[: max(0, len(checkpoints) - max(1, keep))]:
        if checkpoint not in pointed_at:
            _remove(checkpoint)


def _remove(path: Path) -> None:
    """Delete a file or folder; a folder is renamed first, so that no half of one looks like a checkpoint.

    Of a link the link goes; what it points to stays.
    """
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    if path.suffix != ".tmp":
        path = path.rename(path.with_suffix(".tmp"))
    shutil.rmtree(path)


def _write(path: Path, content: bytes) -> None:
    """Write a file that is not there yet; whatever has its name, a link even, makes way."""
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        file.write(content)
    _make_durable(path)


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


__all__ = [
    "check_whole",
    "clean",
    "is_checkpoint",
    "load_training",
    "newest_described",
    "point",
    "pointed",
    "recover",
    "resolve",
    "save",
]
