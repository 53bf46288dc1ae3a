"""One way to name a model, the same for every command and in Python: what a name stands for on the disk."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vitrail.errors import ConfigError, WeightsError
from vitrail.weights.fetch import fetch
from vitrail.weights.paths import path_of
from vitrail.weights.pretrained import pretrained
from vitrail.weights.reader import why_no_file

HUB = "hf:"
"""Before the name of a repository on the Hugging Face hub."""

REPOSITORY = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")


@dataclass(frozen=True)
class Origin:
    """Where a fetched model came from.

    Attributes:
        repository: ``OWNER/NAME`` on the Hugging Face hub.
        revision: the branch, tag or commit that was asked for; "" for the default branch.
        commit: what that was when it was fetched, 40 hexadecimal digits; "" before.
        licence: of the weights, as the repository names it; "" where it names none.
    """

    repository: str
    revision: str = ""
    commit: str = ""
    licence: str = ""

    def __str__(self) -> str:
        return f"{HUB}{self.repository}{'@' if self.revision else ''}{self.revision}"


@dataclass(frozen=True)
class FoundModel:
    """What the name of a model stands for.

    Attributes:
        path: a run folder, a checkpoint, a weights file, or a folder as transformers or timm save it.
        origin: of a fetched one; None of what lay on the disk.
    """

    path: Path
    origin: Origin | None = None


def find_model(name: str | Path, *, accept_license: bool = False) -> FoundModel:
    """Find what the name of a model stands for; a model on the hub is fetched, or taken from its cache.

    What is on the disk comes first.

    Args:
        name: a run folder, a checkpoint folder, a weights file of any known layout, a folder as transformers or timm
            save it, a name of ``vitrail models --pretrained``, or ``hf:OWNER/NAME`` or ``hf:OWNER/NAME@REVISION``.
        accept_license: the licence of what is fetched is accepted, where it asks for that; remembered for later.

    Raises:
        WeightsError: the name stands for nothing, or the repository cannot be fetched.
        ConfigError: a licence is accepted of what is not fetched.
        MissingExtra: a repository is named, and huggingface_hub is not installed.
    """
    if is_on_hub(name):
        origin = origin_of(str(name))
        fetched = fetch(origin.repository, origin.revision, accept_license=accept_license)
        return FoundModel(fetched.path, replace(origin, commit=fetched.commit, licence=fetched.licence))
    path = path_of(name)
    if not path.exists():
        raise WeightsError(why_no_file(str(name), path, pretrained()))
    if accept_license:
        raise ConfigError(f"{name} lies on the disk, and no licence is accepted for it; leave out --accept-license")
    return FoundModel(path)


def is_on_hub(name: Any) -> bool:
    """Whether a name is that of a model on the hub, and nothing of the name is on the disk."""
    known = isinstance(name, str) and (name.startswith(HUB) or name in pretrained())
    return known and not path_of(name).exists()


def origin_of(name: str) -> Origin:
    """Take ``hf:OWNER/NAME@REVISION`` apart, or look up a name of ``vitrail models --pretrained``.

    Raises:
        WeightsError: it has another form.
    """
    if name in pretrained():
        return Origin(pretrained()[name].repository)
    parts = REPOSITORY.fullmatch(name.removeprefix(HUB))
    if parts is None:
        raise WeightsError(
            f"{name} names no repository on the hub; it has the form hf:OWNER/NAME or hf:OWNER/NAME@REVISION"
        )
    return Origin(parts["repository"], parts["revision"] or "")


__all__ = ["FoundModel", "Origin", "find_model", "is_on_hub", "origin_of"]
