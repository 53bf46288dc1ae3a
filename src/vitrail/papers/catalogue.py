"""``vitrail paper``: the tables by their names, and running one of them."""

from __future__ import annotations

import importlib
import shlex
from dataclasses import dataclass
from pathlib import Path

from vitrail.config import make
from vitrail.errors import ConfigError, nearest
from vitrail.meaning import check_meant
from vitrail.output import say, say_lines, say_table
from vitrail.papers.grid import Filled, Table, run_table
from vitrail.runs.place import check_place
from vitrail.settings import PaperSettings


@dataclass(frozen=True)
class Entry:
    """A table that can be run.

    Attributes:
        module: of ``vitrail.papers``.
        help: what it shows.
        function: of the module; it takes `PaperSettings` and returns a `Table`.
    """

    module: str
    help: str
    function: str = "table"


TABLES: dict[str, Entry] = {
    "vit-positions": Entry("vit_positions", "ViT, table 8: no positions, 1-D, 2-D, relative"),
    "vit-pool": Entry("vit_pool", "ViT, figure 9: class token or mean of the patches, at three learning rates"),
    "vit-resnets": Entry("vit_resnets", "ViT, figures 3 to 5: BiT, hybrid and ViT of equal compute on few images"),
    "vit-mpp": Entry("vit_mpp", "ViT, section 4.6: masked patch prediction, and fine-tuning its encoder"),
    "mae-ratio": Entry("mae_ratio", "MAE, figure 5: hiding 10 to 90 % of the patches"),
    "mae-depth": Entry("mae_decoder", "MAE, table 1a: depth of the decoder", "depths"),
    "mae-width": Entry("mae_decoder", "MAE, table 1b: width of the decoder", "widths"),
    "mae-tokens": Entry("mae_tokens", "MAE, tables 1c and 2: mask tokens in the encoder"),
    "mae-target": Entry("mae_target", "MAE, table 1d: pixels, normalised pixels, principal components, tokens"),
    "mae-augment": Entry("mae_augment", "MAE, table 1e: augmentation while pretraining"),
    "mae-masking": Entry("mae_masking", "MAE, table 1f: random, block and grid masks"),
    "mae-partial": Entry("mae_partial", "MAE, figure 9: tuning only the last blocks"),
    "mae-labels": Entry("mae_labels", "MAE against training from scratch for as long, with 1, 10, 100 % of labels"),
    "swin-ablation": Entry("swin_ablation", "Swin, table 4: shifted windows, and five kinds of positions"),
}


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
        say_table("", ("table", "shows"), [(name, entry.help) for name, entry in TABLES.items()])
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
    entry = TABLES[settings.name]
    return getattr(importlib.import_module(f"vitrail.papers.{entry.module}"), entry.function)(settings)


def command(settings: PaperSettings) -> str:
    """Return the command line that asks for these settings."""
    words = ["vitrail", "paper", settings.name]
    for name, default in vars(PaperSettings()).items():
        value = getattr(settings, name)
        if name not in ("name", "out", "workers") and value != default:
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--{name.replace('_', '-')}", *(f"{v:g}" if isinstance(v, float) else str(v) for v in values)]
    return shlex.join(words)
