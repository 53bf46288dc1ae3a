"""``vitrail weights``: what a weights file holds, in another library's layout, whole and right, on a model hub."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vitrail.console import command
from vitrail.errors import ConfigError, WeightsError, nearest
from vitrail.output import say, say_lines
from vitrail.runs.place import check_place
from vitrail.runs.run_folder import output_folder
from vitrail.serialize import dumps
from vitrail.settings import WeightsSettings
from vitrail.weights.compare import Comparison, compare
from vitrail.weights.convert import Conversion, convert
from vitrail.weights.hub import push_to_hub
from vitrail.weights.inspect import Inspection, Verification, inspect, verify
from vitrail.weights.named import find_model
from vitrail.weights.trusted import FILE as CARD
from vitrail.weights.weights_file import open_weights


def inspect_weights(file: str | Path) -> Inspection:
    """Say what a weights file holds: layout, model, shapes, origin, preprocessing.

    Args:
        file: as for `vitrail.load_weights`.

    Raises:
        WeightsError: the file cannot be read, or is of no known layout.
    """
    return inspect(file)


def convert_weights(file: str | Path, to: str, out: str | Path, **options: Any) -> Conversion:
    """Write the weights of a file in another library's layout; see `vitrail.weights.convert.convert`."""
    return convert(file, to, out, **options)


def verify_weights(
    file: str | Path, source: str | Path | None = None, image: str | Path | None = None
) -> tuple[Verification, Comparison | None]:
    """Check a weights file, and compare it with the one it was made from.

    Args:
        file: as for `vitrail.load_weights`.
        source: the file it was made from.
        image: what both are shown; noise when absent.

    Returns:
        What is wrong with the file itself, and how it differs from the source, if there is one.

    Raises:
        WeightsError: a file cannot be read, or is of no known layout.
        ImageError: the image cannot be used.
    """
    opened = open_weights(file)
    return verify(opened), compare(opened, source, image) if source else None


def run(settings: WeightsSettings) -> None:
    """Do what is asked for and print it."""
    if settings.action not in ACTIONS:
        hint = nearest(settings.action, ACTIONS) or f"; there are {', '.join(ACTIONS)}"
        raise ConfigError(f"vitrail weights cannot {settings.action!r}{hint}")
    find_model(settings.file, accept_license=settings.accept_license)
    ACTIONS[settings.action](settings)


def _inspect(settings: WeightsSettings) -> None:
    found = inspect(settings.file)
    _print(found, settings.json)
    if found.unknown:
        raise WeightsError(f"no model of vitrail's takes {settings.file}: {found.unknown}")


def _convert(settings: WeightsSettings) -> None:
    if not settings.to or settings.out is None:
        raise ConfigError("vitrail weights convert needs --to LAYOUT and --out FOLDER")
    check_place(settings.out, "", file=bool(Path(settings.out).suffix))
    done = convert(
        settings.file, settings.to, settings.out, num_heads=settings.num_heads, encoder_only=settings.encoder_only
    )
    _print(done, settings.json)
    if not settings.json:
        say(f"next: {command('vitrail', 'weights', 'verify', done.out, '--source', settings.file)}")


def _verify(settings: WeightsSettings) -> None:
    verification, comparison = verify_weights(settings.file, settings.source, settings.image)
    if settings.json:
        compared = dataclasses.asdict(comparison) if comparison else None
        print(dumps({**dataclasses.asdict(verification), "comparison": compared}, default=str))
    else:
        say_lines(verification)
        if comparison:
            say_lines(comparison)
    if not verification.ok:
        raise WeightsError(f"{settings.file} has {len(verification.problems)} problems: {verification.problems[0]}")
    if comparison and not comparison.same:
        raise WeightsError(f"{settings.file} does not hold the tensors of {settings.source}")


def _push(settings: WeightsSettings) -> None:
    if not settings.to:
        raise ConfigError("vitrail weights push needs --to OWNER/NAME")
    card = output_folder(settings.file, "trust") / CARD
    trust = card if card.is_file() else None
    address = push_to_hub(settings.file, settings.to, trust=trust, private=settings.private)
    say(dumps({"url": address}) if settings.json else f"pushed to {address}")


def _print(found: Any, as_json: bool) -> None:
    say_lines(json.dumps(dataclasses.asdict(found), default=str) if as_json else found)


ACTIONS: dict[str, Callable[[WeightsSettings], None]] = {
    "inspect": _inspect,
    "convert": _convert,
    "verify": _verify,
    "push": _push,
}
