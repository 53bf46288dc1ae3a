"""Licences of fetched weights: said, and where one restricts what may be done, accepted before anything is fetched."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from vitrail.errors import WeightsError
from vitrail.weights import remembered

# By the hub's identifiers: no commercial use, research only, or a licence of its own that has to be read.
RESTRICTED = re.compile(r"(^|[-_ ])(nc|noncommercial|non-commercial|research)([-_ ]|$)", re.IGNORECASE)
PERMISSIVE = re.compile(
    r"(apache-2\.0|mit|bsd|bsd-[23]-clause|cc0-1\.0|cc-by-4\.0|cc-by-sa-4\.0|isc|unlicense|wtfpl|zlib)", re.IGNORECASE
)

CARD = "README.md"
LARGEST_HEAD = 2**16
"""Letters of a card that are read; its beginning is shorter."""
LINE = re.compile(r"^(license|license_name|license_link): *(\S.*?) *$", re.MULTILINE)


def licence_of(card: Any) -> str:
    """Return the licence that the card of a repository names, with the address of its text; "" where it names none.

    Args:
        card: the metadata at the beginning of a repository's README: ``license``, ``license_name``, ``license_link``.
    """
    said = {key: card.get(key) for key in ("license", "license_name", "license_link")} if card else {}
    name = said["license"] if said.get("license") not in (None, "other") else said.get("license_name")
    name = ", ".join(map(str, name)) if isinstance(name, list) else str(name or said.get("license") or "")
    link = said.get("license_link")
    return f"{name} ({link})" if name and link and str(link).startswith("http") else name


def licence_beside(folder: Path, config: dict[str, Any]) -> str:
    """Return the licence that stands beside weights: in the card of a repository, or in timm's config; "" for none.

    Args:
        folder: of the weights.
        config: what ``config.json`` there holds.
    """
    pretrained = config.get("pretrained_cfg")
    timms = pretrained.get("license") if isinstance(pretrained, dict) else None
    return licence_of(_head_of_card(folder / CARD)) or (timms if isinstance(timms, str) else "")


def _head_of_card(card: Path) -> dict[str, str]:
    """Return the plain lines ``name: value`` at the beginning of a card, between two lines of dashes."""
    try:
        with card.open(encoding="utf-8") as file:
            text = file.read(LARGEST_HEAD)
    except (OSError, UnicodeDecodeError):
        return {}
    opening, _, rest = text.partition("---\n")
    head = rest.partition("\n---")[0] if not opening.strip() else ""
    return {found[1]: found[2].strip("'\"") for found in LINE.finditer(head)}


def must_accept(licence: str) -> bool:
    """Whether a licence forbids commercial use, or is one of its authors' own, which has to be read."""
    name = licence.partition(" (")[0]
    return bool(name) and (RESTRICTED.search(name) is not None or PERMISSIVE.fullmatch(name) is None)


def check_licence(repository: str, licence: str, accept: bool) -> None:
    """Refuse a repository whose licence is to be accepted first.

    Args:
        repository: ``OWNER/NAME``.
        licence: of it; "" where nobody names one.
        accept: it is accepted; remembered for later.

    Raises:
        WeightsError: it is not.
    """
    if must_accept(licence) and not accept and not remembered.is_accepted(repository, licence):
        what = "forbids commercial use or restricts it" if RESTRICTED.search(licence) else "is one of its authors' own"
        raise WeightsError(
            f"the licence of {repository} {what}: {licence}; read it, and accept it once with --accept-license "
            "(accept_license=True in Python)"
        )
    remembered.remember_licence(repository, licence, accepted=accept)


__all__ = ["check_licence", "licence_of", "must_accept"]
