"""``vitrail paper``: the tables by their names, and running one of them."""

from __future__ import annotations

import shlex
from pathlib import Path

from vitrail.config import make
from vitrail.errors import ConfigError, nearest
from vitrail.meaning import check_meant
from vitrail.output import say, say_lines, say_table
from vitrail.papers import mae, swin, vit
from vitrail.papers.grid import Filled, PaperTable, Table, run_table
from vitrail.runs.place import check_place
from vitrail.settings import PaperSettings

TABLES: dict[str, PaperTable] = vit.TABLES | mae.TABLES | swin.TABLES


def paper(name: str, **settings: object) -> Filled:
    """Run one table of a paper, or go on with it.

    Args:
        name: a key of `TABLES`.
        **settings: any other field of `vitrail.settings.PaperSettings`.

    Returns:
        The table with all figures; they are also in the folder ``out``, as ``table.json`` and ``table.md``.

    Raises:
        VitrailError: no such table, or its data cannot be used.
        Interrupted: asked to stop; the same call goes on.
    """
    asked = make(PaperSettings, name=name, **settings)
    check_meant(asked)
    return _run(asked)


def run(settings: PaperSettings) -> None:
    """Run a table and print it; without a name, list the tables."""
    if not settings.name:
        say_table("", ("table", "shows"), [(name, table.help) for name, table in TABLES.items()])
        return
    markdown = _run(settings).markdown()
    say()
    say_lines(markdown)


def _run(settings: PaperSettings) -> Filled:
    if settings.seeds < 1:
        raise ConfigError(f"a table needs one seed or more, not {settings.seeds}")
    table = table_of(settings)
    out = check_place(settings.out, Path("runs") / f"paper-{settings.name}", [settings.data])
    return run_table(table, settings.seeds, out, command(settings))


def table_of(settings: PaperSettings) -> Table:
    """Return the table that is asked for, not yet run.

    Raises:
        ConfigError: no such table; the nearest right names are given.
    """
    if settings.name not in TABLES:
        hint = nearest(settings.name, TABLES) or f"; there are {', '.join(TABLES)}"
        raise ConfigError(f"there is no table {settings.name!r}{hint}")
    return TABLES[settings.name].at(settings)


def command(settings: PaperSettings) -> str:
    """Return the command line that asks for these settings."""
    words = ["vitrail", "paper", settings.name]
    for name, default in vars(PaperSettings()).items():
        value = getattr(settings, name)
        if name not in ("name", "out", "workers") and value != default:
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--{name.replace('_', '-')}", *(f"{v:g}" if isinstance(v, float) else str(v) for v in values)]
    return shlex.join(words)
