"""One run folder, one run: a second one in the same folder is refused before it can spoil anything."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from vitrail.errors import TrainingError

LOCK = ".lock"

WRITTEN = (
    *(
        "config.json",
        "environment.json",
        "summary.json",
        "metrics.jsonl",
        "report.html",
        "checkpoints",
        "figures",
        "pictures",
    ),
    *("tensorboard", "target.safetensors", "features", "pictures"),  # the last: figures of runs before
)
"""What a run writes in its folder: none of it may be a link, which would lead out of the folder."""


TRIES = 20


@dataclass
class Hold:
    """A run folder that belongs to this process.

    Attributes:
        folder: as it was given.
        thread: the one that may write to it.
        made: folders that did not exist before, outermost first.
        fresh: whether the lock file did not exist before.
    """

    folder: Path
    thread: threading.Thread
    descriptor: int
    made: list[Path] = field(default_factory=list)
    fresh: bool = False
    uses: int = 1
    spare: list[int] = field(default_factory=list)

    def check(self) -> None:
        """Make sure that the folder is still where it was.

        Raises:
            TrainingError: it was moved or removed.
        """
        if not self.is_there():
            raise TrainingError(
                f"{self.folder} was moved or removed while the run was writing to it; put it back and run the same "
                "command again, or go on where it is now with --out"
            )

    def is_there(self) -> bool:
        """Tell whether the folder is still where it was, with its lock in it."""
        try:
            return _identity((self.folder / LOCK).lstat()) == _identity(os.fstat(self.descriptor))
        except OSError:
            return False

    def close(self) -> None:
        """Give the lock up."""
        for descriptor in (*self.spare, self.descriptor):
            os.close(descriptor)
        self.spare = []


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


_holds: dict[tuple[int, int], Hold] = {}
_registry = threading.Lock()


def hold(folder: Path) -> Hold:
    """Take a run folder, and make it where it is not there; until `release` no other run gets it.

    A thread may hold a folder several times over. The lock belongs to the process: it ends with it, however that ends,
    and data workers that were forked from it do not inherit it. Where the system has no such locks (Windows, some
    network disks), only this process's own threads are kept apart.

    Raises:
        TrainingError: another run is writing to the folder, it cannot be written to, or a link in it leads out of it.
    """
    with _registry:
        for _ in range(TRIES):
            if (held := _try_to_hold(folder)) is not None:
                return held
        raise TrainingError(f"{folder} is made and removed by other runs all the time; give another --out")


def _try_to_hold(folder: Path) -> Hold | None:
    """Hold a folder; None where another run removed it, having been refused, just when this one wanted it."""
    made = _make(folder)
    try:
        check_links(folder)
        fresh = not (folder / LOCK).exists()
        descriptor = _open(folder / LOCK)
    except FileNotFoundError:
        return None
    except BaseException:
        _unmake(made)
        raise
    key = _identity(os.fstat(descriptor))
    held = _holds.get(key)
    if held is not None and held.thread.is_alive():
        # Closing any descriptor of a locked file would give the lock up, so this one is kept until the end.
        held.spare.append(descriptor)
        if held.thread is not threading.current_thread():
            raise TrainingError(f"{folder} is in use by another run in this process; wait for it or give another --out")
        held.uses += 1
        return held
    if held is not None:  # its thread ended without giving it back
        held.close()
        del _holds[key]
    _lock(folder, descriptor)
    new = Hold(folder, threading.current_thread(), descriptor, made, fresh)
    if not new.is_there():
        new.close()
        return None
    _holds[key] = new
    return new


def release(held: Hold, *, clear: bool = False) -> None:
    """Give a folder back; the last `release` of a thread frees it.

    Args:
        held: what `hold` returned.
        clear: also remove the lock and the folders that were made for it, where nothing else is in them and nothing
            was there before.
    """
    with _registry:
        held.uses -= 1
        if held.uses:
            return
        key = next((key for key, other in _holds.items() if other is held), None)
        if key is None:
            return
        del _holds[key]
        if clear:
            if held.fresh:
                with contextlib.suppress(OSError):
                    (held.folder / LOCK).unlink()
            _unmake(held.made)
        held.close()


@contextlib.contextmanager
def sole_user(folder: Path, main: bool) -> Iterator[Hold | None]:
    """Hold a run folder while it is written to; see `hold`.

    Args:
        folder: the run folder.
        main: whether this process writes to it; only the main one of several does.

    Raises:
        TrainingError: another run is writing to the folder.
    """
    if not main:
        yield None
        return
    held = hold(folder)
    try:
        yield held
    finally:
        release(held)


def _make(folder: Path) -> list[Path]:
    """Make a folder and those above it; return the ones that were not there."""
    made: list[Path] = []
    try:
        for path in (*reversed(folder.parents), folder):
            if not path.exists():
                path.mkdir()
                made.append(path)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "it is a file")
    except OSError as error:
        if isinstance(error, FileExistsError) and folder.is_dir():
            return made  # another process was faster
        _unmake(made)
        raise _refused(folder, error) from None
    return made


def _unmake(made: list[Path]) -> None:
    for path in reversed(made):
        with contextlib.suppress(OSError):
            path.rmdir()


def check_links(folder: Path) -> None:
    """Refuse a run folder in which writing would lead somewhere else: through links, or into what is no file.

    Raises:
        TrainingError: there is such a link; it is named.
    """
    inside = [path for name in ("checkpoints", "figures", "pictures", "features") for path in (folder / name).glob("*")]
    for path in [*(folder / name for name in WRITTEN), *inside]:
        try:
            mode = path.lstat().st_mode
        except OSError:
            continue
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            what = f"a link to {path.readlink()}" if stat.S_ISLNK(mode) else "no file of its own"
            raise TrainingError(
                f"{path} is {what}, and a run writes only inside its folder; remove it or give another --out"
            )


def _open(path: Path) -> int:
    """Open the lock file, which is made if need be; never through a link."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise TrainingError(f"{path} is a link, and a run writes only inside its folder; remove it") from None
        raise _refused(path.parent, error) from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        os.close(descriptor)
        raise TrainingError(f"{path} is no file of its own; remove it, and run the same command again")
    return descriptor


def _lock(folder: Path, descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            return  # a disk without locks
        user = os.read(descriptor, 20).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise TrainingError(
            f"{folder} is in use by another run (process {user or 'unknown'}); wait for it, stop it or give another "
            "--out"
        ) from error
    with contextlib.suppress(OSError):  # a full disk: who it is matters less than that it is locked
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)


def _refused(folder: Path, error: OSError) -> TrainingError:
    return TrainingError(
        f"{folder} cannot be written to ({error.strerror or error}); make it writable or give another --out"
    )


def _forget() -> None:
    """Forget, in a forked process, the folders of its parent: its locks are not inherited."""
    global _registry
    _registry = threading.Lock()
    _holds.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
