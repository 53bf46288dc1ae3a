"""The last line of defence: what the system refuses, wherever it did, becomes one sentence that says what to do.

Each place that can say more (which image, which checkpoint) does so itself; this catches what was left.
"""

from __future__ import annotations

import errno
import os
import sys

ADVICE: dict[int, str] = {
    errno.ENOSPC: "make room on that disk, or choose another place with --out; the same command then goes on",
    errno.EDQUOT: "your quota is used up: make room, or choose another place with --out",
    errno.EROFS: "it cannot be written to; choose another place with --out",
    errno.EACCES: "you may not do that there; choose another place, or change its permissions",
    errno.EPERM: "you may not do that there; choose another place, or change its permissions",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "its links lead round in a circle",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n 4096), or give --loader.workers 0",
    errno.ENFILE: "too many files are open on this machine: close other programs",
    errno.ENOMEM: "there is not enough memory: give --loader.workers 0, or a smaller --batch-size",
    errno.ENOENT: "it does not exist, or does no longer",
    errno.ENOTDIR: "a part of this path is a file and no folder",
    errno.EISDIR: "it is a folder, and a file is needed",
    errno.EIO: "the disk or the network failed; the same command goes on where the run was",
    errno.ESTALE: "the network disk has lost it; the same command goes on where the run was",
    errno.EFBIG: "the file would be larger than is allowed here (ulimit -f)",
}

LESS_MEMORY = "give a smaller --batch-size, --run.micro-batch or --image-size, --loader.cache off, or a smaller --model"

# How torch and its libraries speak of memory and disks in errors that have no kind of their own.
MEMORY_WORDS = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "bad_alloc")
DISK_WORDS = ("no space left on device", "disk quota exceeded", "read-only file system")
SHARED_MEMORY_WORDS = ("shared memory", "unable to mmap", "/dev/shm", "/torch_")


def sentence(error: BaseException) -> str | None:
    """Return what to tell a user about an error that the system or its limits caused; None for a fault of the code."""
    if isinstance(error, OSError):
        return _of_system(error)
    if isinstance(error, MemoryError):
        return f"there is not enough memory for this; {LESS_MEMORY}"
    if isinstance(error, RecursionError):
        return "a file is nested too deeply to be read; check what was given"
    if isinstance(error, UnicodeError):
        return f"a file or a name is no text in UTF-8 ({error}); convert it, or rename the file"
    if isinstance(error, (RuntimeError, ValueError)):
        return _of_path(str(error)) or _of_torch(str(error))
    return None


def _of_system(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
    advice = ADVICE.get(error.errno or 0, "")
    return f"{where}{reason}" + (f"; {advice}" if advice else "")


def _of_path(message: str) -> str | None:
    """Return a sentence for what Python says of paths without an error of its own."""
    if "home directory" in message:
        return "a path begins with ~ and a name that is no user's here; write it in full"
    if message.startswith("Symlink loop"):
        return f"{message.removeprefix('Symlink loop from ')}: its links lead round in a circle"
    if message.startswith("embedded null"):
        return "a path holds a zero byte, which no file system takes; check how it was made"
    return None


def _of_torch(message: str) -> str | None:
    """Return a sentence for what torch says without an error of its own."""
    lowered, first = message.lower(), message.strip().splitlines()[0] if message.strip() else ""
    if any(word in lowered for word in SHARED_MEMORY_WORDS):
        return f"there is not enough shared memory for data workers; give --loader.workers 0 ({first[:120]})"
    if any(word in lowered for word in MEMORY_WORDS):
        return f"there is not enough memory for this; {LESS_MEMORY} ({first[:120]})"
    if any(word in lowered for word in DISK_WORDS):
        return f"{first[:200]}; make room, or choose another place with --out"
    return None


def open_closed_streams() -> None:
    """Give a process that was started without standard streams ones that lead nowhere.

    Else the first files that are opened would take their numbers, and what is printed would end in those files.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: PTH123, SIM115


def silence(stream_number: int) -> None:
    """Let what is still to be written to a stream that cannot be written to lead nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream_number)
