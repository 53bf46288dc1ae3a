"""What people read on a terminal: text that cannot act on it, figures in one format, commands that can be pasted.

Class names, file names and texts in checkpoints come from others. `printable` turns what would act on a terminal into
backslash escapes; all that is printed for people passes through it.
"""

from __future__ import annotations

import math
import re
import shlex
import sys
import unicodedata
from collections.abc import Iterable
from typing import TextIO

# Controls (ANSI escapes begin with one), format characters (they turn the direction of writing round), halves of
# UTF-16 pairs (how Python holds bytes that are no UTF-8), line and paragraph separators, and what is unassigned.
ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Cn"})

# These format characters join or part the letters of ordinary words (in Persian and Hindi, say), and no more.
JOINERS = frozenset("\u200c\u200d")

# Python holds a byte 0x80 to 0xff of a file name that is no UTF-8 as one of these.
FIRST_BYTE, LAST_BYTE = 0xDC80, 0xDCFF

# Figures whose names do not end in a word that says so, and that are shares of a whole all the same.
SHARES = re.compile(r"(.*_)?(top\d+|accuracy|iou|mean_class|(ap|ar)\d*(_\w+)?)")


def printable(text: object, *, lines: bool = False) -> str:
    """Return a text with everything that could act on a terminal written as a backslash escape.

    Args:
        text: anything with a ``str``.
        lines: keep line breaks and tabs; without, they are escaped too, as in a name.
    """
    written = str(text)
    if written.isascii() and written.isprintable():
        return written
    return "".join(_escaped(letter, lines) for letter in written)


def printable_lines(text: object) -> list[str]:
    """Return the lines of a text, each without anything that could act on a terminal."""
    return [printable(line) for line in str(text).split("\n")]


def _escaped(letter: str, lines: bool) -> str:
    if (lines and letter in "\n\t") or letter in JOINERS or unicodedata.category(letter) not in ACTING:
        return letter
    code = ord(letter)
    if FIRST_BYTE <= code <= LAST_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    if letter in "\n\t\r":
        return {"\n": "\\n", "\t": "\\t", "\r": "\\r"}[letter]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quoted(word: object) -> str:
    """Return a word of a command line, quoted for a shell where it has to be; what acts on a terminal is escaped."""
    written = str(word)
    shown = printable(written)
    if shown == written:
        # A home folder stays short, and is what the shell makes of it.
        return (
            f"~/{shlex.quote(written[2:])}" if written.startswith("~/") and len(written) > 2 else shlex.quote(written)
        )
    # Shells read $'...' with backslash escapes, those of `printable` among them.
    quoted_ = "".join(_escaped(letter, False) if letter not in "\\'" else f"\\{letter}" for letter in written)
    return f"$'{quoted_}'"


def command(*words: object) -> str:
    """Return a command line of these words that a shell takes as it is."""
    return " ".join(quoted(word) for word in words)


def percent(share: float | None) -> str:
    """Write a share of a whole: ``93.7 %``; ``-`` for none, or one that is no number."""
    return "-" if share is None or not math.isfinite(share) else f"{share * 100:.1f} %"


def points(difference: float) -> str:
    """Write the difference of two shares: ``37.0 points``, which are not per cent of either."""
    return "-" if not math.isfinite(difference) else f"{difference * 100:.1f} points"


def is_share(name: str) -> bool:
    """Whether a figure of this name (``top1``, ``mean_iou``, ``box_ap50``) is a share of a whole."""
    return SHARES.fullmatch(name) is not None


def figure(name: str, value: float | None) -> str:
    """Write a figure the one way it is written everywhere: shares in per cent, others with four significant digits."""
    if is_share(name):
        return percent(value)
    return "-" if value is None or not math.isfinite(value) else f"{value:.4g}"


def figures(named: Iterable[tuple[str, float | None]]) -> str:
    """Write figures one after the other: ``loss 0.4261, top1 93.7 %``."""
    return ", ".join(f"{name} {figure(name, value)}" for name, value in named)


def shortened(names: Iterable[str], most: int = 8, longest: int = 24) -> str:
    """Write a few of many names, each cut to ``longest`` letters: ``cat, dog, ... (12)``."""
    known = [printable(name) for name in names]
    shown = [name if len(name) <= longest else f"{name[: longest - 3]}..." for name in known[:most]]
    return ", ".join(shown) + (f", ... ({len(known):,})" if len(known) > most else "")


def never_fail(*streams: TextIO) -> None:
    """Let streams write what their encoding lacks as backslash escapes, where they would have raised an error."""
    for stream in streams or (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
