"""What ``vitrail evaluate`` leaves behind: a page, its images with their numbers, and all figures as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vitrail.config import to_json
from vitrail.errors import ConfigError
from vitrail.serialize import dumps, write_whole
from vitrail.settings import EvaluateSettings
from vitrail.tasks.illustrated import Illustrated
from vitrail.tasks.task import Measured
from vitrail.visualize.report import Section, write_report
from vitrail.weights.named import find_model

FIGURES = (
    *("confusion", "surest_errors", "only_here", "only_there", "reliability", "classes", "conditions"),
    *("precision_recall", "worst_images"),
)
"""Names of all figures, of any task."""


def write_evaluation(
    out: Path,
    settings: EvaluateSettings,
    measured: Measured,
    found: Any,
    illustrated: Illustrated,
    next_steps: Sequence[str],
) -> Path:
    """Write ``evaluate.html``, ``evaluate.json``, the figures and what else belongs to them; return the page.

    Args:
        out: the folder; made where it is not there.
        settings: of the command.
        measured: the images.
        found: the figures, a dataclass.
        illustrated: what is shown of them.
        next_steps: commands.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        # On one line: of a thousand classes the confusions alone would be a million lines.
        write_whole(out / "evaluate.json", (dumps(to_json(found)) + "\n").encode())
        _clear(out)
        for name, figure in illustrated.figures.items():
            figure.image.save(out / f"{name}.png")
            figure.write_data(out / name)
        for name, text in illustrated.files.items():
            write_whole(out / name, text.encode("utf-8", "surrogateescape"))
        return write_report(
            out / "evaluate.html",
            title=f"{_name(settings.checkpoint)} on {Path(measured.data).name or measured.data}",
            subtitle=f"{found.images:,} images of {measured.data} ({found.split}).",
            facts=illustrated.facts,
            images=[(figure.caption, figure.image) for figure in illustrated.figures.values()],
            tables=illustrated.tables,
            sections=[
                Section("What must be known", "\n".join(illustrated.notes)),
                Section("Settings", to_json(settings), folded=True),
            ],
            next_steps=next_steps,
        )
    except OSError as error:
        raise ConfigError(
            f"{out} cannot be written ({error.strerror or error}); choose another folder with --out"
        ) from None


def _clear(out: Path) -> None:
    """Take away the figures of an earlier evaluation: this one may not have all of them."""
    for name in FIGURES:
        for kind in (".png", ".json", ".npz"):
            (out / f"{name}{kind}").unlink(missing_ok=True)


def _name(checkpoint: str) -> str:
    """Return what a model is called in the title of a page."""
    found = find_model(checkpoint)
    return str(found.origin or found.path.resolve().name.removesuffix(".safetensors"))


__all__ = ["FIGURES", "write_evaluation"]
