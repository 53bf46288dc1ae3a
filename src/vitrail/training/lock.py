"""One run folder, one run: a second one in the same folder is refused before it can spoil anything."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from vitrail.errors import TrainingError

LOCK = ".lock"


@contextlib.contextmanager
def sole_user(folder: Path, main: bool) -> Iterator[None]:
    """Hold a run folder while it is written to.

    The lock belongs to the process alone: it ends with it, however that ends, and data workers that were forked
    from it do not inherit it. Where the system has no such locks (Windows), nothing is held.

    Args:
        folder: the run folder.
        main: whether this process writes to it; only the main one of several does.

    Raises:
        TrainingError: another run is writing to the folder.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    if not main:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.seek(0)
            raise TrainingError(
                f"{folder} is in use by another run (process {file.read().strip() or 'unknown'}); wait for it, stop it "
                "or give another --out"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
