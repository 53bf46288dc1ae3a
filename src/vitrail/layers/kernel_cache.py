"""Where the compiled kernel is kept: loaded only from a file and a folder of one's own, whole, and as it was written.

A library that was cut short ends a process that touches it (SIGBUS), and one that a stranger put there runs as his
code. So the folder belongs to this user and nobody else may write to it, the library is a regular file of this user's
own, and its size and digest are those that were written beside it once it was whole.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shlex
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

LONGEST_COMPILATION = 120.0
"""Seconds after which a compiler counts as hung."""


class NotKept(Exception):
    """Why a library cannot be compiled or kept: half a sentence."""


def compiler_words(compiler: str) -> list[str]:
    """Split a compiler's name and options as a shell would.

    Raises:
        NotKept: its quotes do not end, or it is empty.
    """
    try:
        words = shlex.split(compiler)
    except ValueError as error:
        raise NotKept(f"CXX={compiler!r} cannot be read ({error})") from None
    if not words:
        raise NotKept("CXX names no compiler")
    return words


def load_kept(name: str, source: Path, compiler: Sequence[str], flags: Sequence[str], folder: Path) -> ctypes.CDLL:
    """Load a library from a folder, compiled before or now; once more if what was kept cannot be loaded.

    Args:
        name: of the file, without its suffix; it says what the library was compiled from, and how.
        source: the C++ file.
        compiler: the compiler and its options.
        flags: more options for compiling.
        folder: where the library is kept; it is made if it is not there. Where others can write to it, or it cannot
            be written, the library is compiled into a private one that is removed when it is loaded.

    Raises:
        NotKept: the library cannot be compiled or loaded.
    """
    if not _is_private(folder):
        return _load_unkept(name, source, compiler, flags)
    library = folder / f"{name}.so"
    if _is_whole(library):
        try:
            return ctypes.CDLL(str(library))
        except OSError:
            pass  # Made for another system: compiled anew.
    try:
        _compile(library, source, compiler, flags)
    except OSError:
        return _load_unkept(name, source, compiler, flags)  # a full or read-only disk
    return _loaded(library)


def _load_unkept(name: str, source: Path, compiler: Sequence[str], flags: Sequence[str]) -> ctypes.CDLL:
    """Compile into a folder of one's own that is removed at once; what is loaded stays."""
    try:
        with tempfile.TemporaryDirectory(prefix="vitrail-") as folder:
            library = Path(folder) / f"{name}.so"
            _compile(library, source, compiler, flags)
            return _loaded(library)
    except OSError as error:
        raise NotKept(f"it could not be compiled and kept: {error}") from None


def _loaded(library: Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise NotKept(f"it could not be loaded: {error}") from None


def _is_private(folder: Path) -> bool:
    """Make the folder if it is not there; tell whether it is this user's, and nobody else may write to it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        if stat.S_ISDIR(status.st_mode) and _is_own(status) and status.st_mode & 0o077:
            if _others_may_write(status):
                return False  # What lies there may be anybody's.
            folder.chmod(0o700)
        return stat.S_ISDIR(status.st_mode) and _is_own(status)
    except OSError:
        return False


def _is_own(status: os.stat_result) -> bool:
    return not hasattr(os, "getuid") or status.st_uid == os.getuid()


def _others_may_write(status: os.stat_result) -> bool:
    return bool(status.st_mode & 0o022)


def _is_whole(library: Path) -> bool:
    """Tell whether a library is a regular file of this user's own, with the size and digest that were written down."""
    try:
        with os.fdopen(os.open(library, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | os.O_NONBLOCK), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or not _is_own(status) or _others_may_write(status):
                return False
            return json.loads(_about(library).read_text()) == _facts(file.read())
    except (OSError, ValueError):
        return False


def _about(library: Path) -> Path:
    return library.with_suffix(".json")


def _facts(content: bytes) -> dict[str, object]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _compile(library: Path, source: Path, compiler: Sequence[str], flags: Sequence[str]) -> None:
    """Compile beside the place, write it to the disk, and rename; several processes may do it at once."""
    with tempfile.TemporaryDirectory(dir=library.parent) as scratch:
        compiled, linked, about = (Path(scratch) / part for part in ("kernel.o", "kernel.so", "kernel.json"))
        _run([*compiler, *flags, "-w", "-c", str(source), "-o", str(compiled)])
        # OpenMP is left to be found in the process: the one that torch brought, with its threads.
        _run([*compiler, "-shared", str(compiled), "-o", str(linked)])
        linked.chmod(0o700)
        about.write_text(json.dumps(_facts(linked.read_bytes())) + "\n")
        for file in (linked, about):
            _to_disk(file)
        if library.is_dir() and not library.is_symlink():
            shutil.rmtree(library)
        # The facts first: a library without them, or with others, is compiled anew.
        about.replace(_about(library))
        linked.replace(library)
        _to_disk(library.parent)


def _run(command: list[str]) -> None:
    """Run a compiler, and end it with all it has started if it hangs."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise NotKept(f"{command[0]} could not be started: {error}") from None
    try:
        errors = process.communicate(timeout=LONGEST_COMPILATION)[1]
    except subprocess.TimeoutExpired:
        _end(process)
        raise NotKept(f"{command[0]} did not end within {LONGEST_COMPILATION:g} seconds") from None
    except BaseException:
        _end(process)
        raise
    if process.returncode:
        says = errors.strip().splitlines() or [f"exit code {process.returncode}"]
        raise NotKept(f"{shlex.join(command[:1])} could not compile it: {says[0]}")


def _end(process: subprocess.Popen[str]) -> None:
    if hasattr(os, "killpg"):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except OSError:
            process.kill()
    else:
        process.kill()
    process.wait()
    if process.stderr:
        process.stderr.close()


def _to_disk(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


__all__ = ["NotKept", "compiler_words", "load_kept"]
