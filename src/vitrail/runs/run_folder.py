"""The run folder: what a run leaves behind, and whether a command may go on with it."""

from __future__ import annotations

import contextlib
import json
import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from vitrail.config import to_json
from vitrail.errors import ConfigError, VitrailError, WeightsError
from vitrail.output import say
from vitrail.paths import user_path
from vitrail.serialize import read_regular, write_json
from vitrail.training.checkpoint import resolve
from vitrail.training.distributed import is_main
from vitrail.training.lock import LOCK, Hold, hold, release
from vitrail.weights.open_any import is_own_checkpoint

# These may differ when a run goes on: they say where and how fast, not what is learned.
MAY_CHANGE = {
    "out",
    "accept_license",
    "loader.workers",
    "loader.cache",
    "run.device",
    "run.keep",
    "run.draw_every",
    "run.save_every",
    "run.save_minutes",
    "run.tensorboard",
    "run.timeout",
}


CONFIG, ENVIRONMENT = "config.json", "environment.json"

# What a run leaves behind before it has learned anything.
BEFORE_THE_FIRST_STEP = {CONFIG, ENVIRONMENT, LOCK}


def open_folder(out: str | None, verb: str, data: str, settings: Any) -> Path:
    """Make the run folder, or take the one that is there if it holds the same run.

    The main process holds it from here on: two commands at the same moment cannot both have it. Who cannot go on gives
    it back by `give_back`. One in which a run was refused before it began holds none: the mended command may have it.

    Raises:
        ConfigError: the folder holds a run with other settings; the first differences are named.
        TrainingError: another run is writing to it, or it cannot be written to.
    """
    folder = run_folder(out, verb, data)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; give --out a folder")
    if not is_main():
        _known_settings(folder, settings)
        return folder
    held = hold(folder)
    if held in _open_folders.values():
        release(held)  # this thread has it already
    _open_folders[folder] = held
    try:
        known = _known_settings(folder, settings)
        if known != to_json(settings):
            write_json(folder / CONFIG, settings)
        write_json(folder / ENVIRONMENT, environment())
    except OSError as error:
        _refuse(folder)
        raise ConfigError(
            f"{folder} cannot be written to ({error.strerror or error}); make room or choose another place with --out"
        ) from None
    except BaseException:
        _refuse(folder)
        raise
    return folder


_open_folders: dict[Path, Hold] = {}


@contextlib.contextmanager
def given_back(folder: Path) -> Iterator[None]:
    """Let others have a run folder at the end of a ``with`` block; see `give_back`."""
    try:
        yield
    finally:
        give_back(folder)


@contextlib.contextmanager
def given_back_if_refused(folder: Path) -> Iterator[None]:
    """Let others have a run folder where a ``with`` block fails; see `give_back`."""
    try:
        yield
    except BaseException:
        give_back(folder)
        raise


def give_back(folder: Path) -> None:
    """Let others have a run folder; one in which nothing was learned keeps nothing that was not there before."""
    held = _open_folders.pop(folder, None)
    if held is None:
        return
    unused = False
    with contextlib.suppress(OSError):
        (folder / "checkpoints").rmdir()  # only if nothing is in it
    with contextlib.suppress(OSError):
        unused = held.is_there() and not _has_begun(folder)
        if unused and held.fresh:
            for name in (CONFIG, ENVIRONMENT):
                (folder / name).unlink(missing_ok=True)
    release(held, clear=unused)


def _refuse(folder: Path) -> None:
    """Give back a folder in which nothing was written."""
    if (held := _open_folders.pop(folder, None)) is not None:
        release(held, clear=True)


def _known_settings(folder: Path, settings: Any) -> Any:
    """Return what ``config.json`` holds, None where there is nothing that matters, and refuse another run's."""
    file = folder / CONFIG
    if not file.is_file():
        return None
    begun = _has_begun(folder)
    known, note = _read_settings(folder, begun)
    if begun:
        _check_same(folder, flat(to_json(type(settings)(data=""))) | flat(known or {}), flat(to_json(settings)))
        if note:
            say(note)
    return known if not note else None


def _read_settings(folder: Path, begun: bool) -> tuple[Any, str]:
    """Read a run's settings, from its newest checkpoint where ``config.json`` is damaged; then say so.

    Raises:
        ConfigError: it is damaged, and no checkpoint knows them either.
    """
    try:
        known = json.loads(read_regular(folder / CONFIG))
        if not isinstance(known, dict):
            raise ValueError("it holds no settings")
        return known, ""
    except (OSError, ValueError, RecursionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
    if not begun:
        return None, ""
    try:
        kept = json.loads(read_regular(resolve(folder, "last") / CONFIG))["settings"]
        flat(kept)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, VitrailError, RecursionError):
        raise ConfigError(
            f"{folder / CONFIG} is damaged ({reason}), and no checkpoint there knows the run's settings; give another "
            "--out"
        ) from None
    return kept, f"{folder / CONFIG} was damaged ({reason}); restored from the last checkpoint"


def default_folder(verb: str, data: str) -> Path:
    """Return where a verb's run goes where nothing else is said."""
    return Path("runs") / f"{verb}-{short_name(data)}"


def output_folder(model: str, what: str) -> Path:
    """Return where a command leaves what it makes of a model: inside its run or checkpoint, beside nobody else's."""
    root = user_path(model, WeightsError)
    if is_own_checkpoint(model):
        return (root if root.is_dir() else Path()) / what
    return default_folder(what, model)


def run_folder(out: str | None, verb: str, data: str) -> Path:
    """Return where a run leaves what it makes."""
    return user_path(out, ConfigError) if out else default_folder(verb, data)


def is_same_run(old: dict[str, Any], settings: Any) -> bool:
    """Whether settings go on with the run whose settings, as JSON, are these."""
    return not _differing(flat(to_json(type(settings)(data=""))) | flat(old), flat(to_json(settings)))


def environment() -> dict[str, Any]:
    """Return the versions and the machine a run happens on."""
    packages = ("vitrail", "torch", "torchvision", "numpy", "pillow")
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in packages},
        "platform": platform.platform(),
        "command": ["vitrail", *sys.argv[1:]],
    }


def flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Name nested settings with dots: ``{"optim": {"clip": 1}}`` is ``{"optim.clip": 1}``."""
    result: dict[str, Any] = {}
    for name, value in settings.items():
        result |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return result


def _has_begun(folder: Path) -> bool:
    # What a write that was cut short left beside has a name that begins with a dot and ends with .tmp.
    return any(path.name not in BEFORE_THE_FIRST_STEP and not path.match(".*.tmp") for path in folder.iterdir())


def _check_same(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    if differing := _differing(old, new):
        shown = "; ".join(f"{name} is {old.get(name)!r} there, {new[name]!r} here" for name in differing[:3])
        raise ConfigError(
            f"{folder} holds another run ({shown}); give another --out, or the same settings to go on with it"
        )


def _differing(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [name for name in new if name not in MAY_CHANGE and old.get(name) != new[name]]


def short_name(data: str) -> str:
    """Return what a data set is called in the names of folders: its last part, without a suffix."""
    # Drawn scenes have a colon in their name, which not every file system takes.
    return user_path(data).resolve().stem.replace(":", "-") if data != "digits" else data
