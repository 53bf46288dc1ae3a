"""The run folder: what a run leaves behind, and whether a command may go on with it."""

from __future__ import annotations

import json
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from vitrail.config import to_json
from vitrail.errors import ConfigError
from vitrail.training.distributed import is_main

# These may differ when a run goes on: they say where and how fast, not what is learned.
MAY_CHANGE = {
    "out",
    "loader.workers",
    "loader.cache",
    "run.device",
    "run.keep",
    "run.picture_every",
    "run.save_every",
    "run.save_minutes",
    "run.tensorboard",
    "run.timeout",
}


# What a run leaves behind before it has learned anything.
BEFORE_THE_FIRST_STEP = {"config.json", "environment.json"}


def open_folder(out: str | None, verb: str, data: str, settings: Any) -> Path:
    """Make the run folder, or take the one that is there if it holds the same run.

    One in which a run was refused before it began holds none: the mended command may have it.

    Raises:
        ConfigError: the folder holds a run with other settings; the first differences are named.
    """
    folder = run_folder(out, verb, data)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; give --out a folder")
    wanted = flat(to_json(settings))
    file = folder / "config.json"
    if file.is_file() and _has_begun(folder):
        old = json.loads(file.read_text())
        _check_same(folder, flat(to_json(type(settings)(data=""))) | flat(old), wanted)
    if not is_main():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(to_json(settings), indent=2) + "\n")
    (folder / "environment.json").write_text(json.dumps(environment(), indent=2) + "\n")
    return folder


def default_folder(verb: str, data: str) -> Path:
    """Return where a verb's run goes where nothing else is said."""
    return Path("runs") / f"{verb}-{short_name(data)}"


def run_folder(out: str | None, verb: str, data: str) -> Path:
    """Return where a run leaves what it makes."""
    return Path(out).expanduser() if out else default_folder(verb, data)


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
    return any(path.name not in BEFORE_THE_FIRST_STEP for path in folder.iterdir())


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
    return Path(data).expanduser().resolve().stem.replace(":", "-") if data != "digits" else data
