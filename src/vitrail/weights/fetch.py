"""Models from the Hugging Face hub, through huggingface_hub: its cache, its resuming, its tokens, its offline mode.

Only the files that are needed are fetched, and each is compared with the digest that the hub states for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from vitrail.console import command
from vitrail.errors import MissingExtra, WeightsError, nearest
from vitrail.output import Progress, warn
from vitrail.weights import remembered
from vitrail.weights.licences import check_licence, licence_of
from vitrail.weights.pretrained import licence_in_table, pretrained
from vitrail.weights.reader import FOLDER_FILES, SUFFIXES, sole_weights
from vitrail.weights.sidecars import CONFIG, PROCESSOR

BESIDE = (CONFIG, PROCESSOR, "README.md")
"""What says how weights are to be used, and what they are."""

OF_CALIBRATION = ("calibration.json", "calibration.safetensors")
"""What says when a classifier can be believed (`vitrail.weights.calibration_file`)."""

KNOWN = (*FOLDER_FILES, *BESIDE)
"""One of these is in the cache of what was fetched."""

MEGABYTE = 10**6
PATIENCE = 10.0
"""Seconds to wait for the hub's first answer."""


class Unreachable(WeightsError):
    """The hub gives no answer."""


@dataclass(frozen=True)
class Fetched:
    """A model of the hub on the disk.

    Attributes:
        path: the folder of its commit in huggingface_hub's cache, or the weights file in it where it has another name
            than libraries look for.
        commit: of the repository, 40 hexadecimal digits.
        licence: as its authors name it on the hub; "" where they name none.
    """

    path: Path
    commit: str
    licence: str = ""


FETCHED: dict[tuple[str, str], Fetched] = {}
"""What this process has fetched: asked again, all parts of a command see the same commit, and the hub is asked once."""


def fetch(repository: str, revision: str = "", *, accept_license: bool = False) -> Fetched:
    """Fetch a repository's weights and what lies beside them, where they are not in the cache.

    Args:
        repository: ``OWNER/NAME``.
        revision: a branch, a tag or a commit; "" for the default branch.
        accept_license: its licence is accepted, where it asks for that; remembered for later.

    Raises:
        WeightsError: it cannot be fetched, holds no weights, is not what the hub says it is, or its licence is to be
            accepted first.
        MissingExtra: huggingface_hub is not installed.
    """
    key = (repository, revision)
    if key not in FETCHED or not FETCHED[key].path.exists():
        hub = huggingface_hub(f"fetching {repository}")
        try:
            FETCHED[key] = _from_hub(hub, repository, revision, accept_license)
        except Unreachable as error:
            FETCHED[key] = _from_cache(hub, repository, revision, error, accept_license)
        found = FETCHED[key]
        warn(f"{repository} at commit {found.commit[:7]}: licence {found.licence or 'not stated'}")
    return FETCHED[key]


def huggingface_hub(purpose: str) -> ModuleType:
    """Import huggingface_hub.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import huggingface_hub
        import huggingface_hub.errors
    except ImportError:
        raise MissingExtra("huggingface_hub", "hub", purpose) from None
    return huggingface_hub


def first_line(error: Exception) -> str:
    """Return the first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


# --- with the hub's answer ----------------------------------------------------------------------------------


def _from_hub(hub: Any, repository: str, revision: str, accept: bool) -> Fetched:
    with _answers(hub, repository, revision):
        info = hub.HfApi().model_info(repository, revision=revision or None, files_metadata=True, timeout=PATIENCE)
    files = {sibling.rfilename: sibling for sibling in info.siblings or ()}
    weights = chosen(files, repository)
    licence = licence_of(info.card_data) or licence_in_table(repository)
    check_licence(repository, licence, accept)
    fetch_file = _Fetching(hub, repository, revision, info.sha, files)
    fetch_file.announce([name for name in (*BESIDE, *OF_CALIBRATION, weights) if name in files])
    for name in (*BESIDE, *OF_CALIBRATION):
        if name in files:
            fetch_file(name)
    path = fetch_file(weights)
    for shard in _shards(path, files) if weights.endswith(".index.json") else ():
        fetch_file(shard)
    return Fetched(path.parent if weights in FOLDER_FILES else path, info.sha, licence)


def chosen(names: Collection[str], repository: str) -> str:
    """Return which of a repository's files is fetched for its weights: the usual name, safetensors before others.

    Raises:
        WeightsError: there is none, or several and none has a usual name.
    """
    usual = [name for name in FOLDER_FILES if name in names]
    beside = [name for name in names if "/" not in name]
    if name := next(iter(usual), "") or sole_weights(beside):
        return name
    if found := sorted(name for name in beside if Path(name).suffix in SUFFIXES):
        fetch = command("hf", "download", repository, found[0], "--local-dir", _folder(repository))
        raise WeightsError(
            f"{repository} holds {len(found)} weights files ({_listed(found)}) and none is named as libraries name "
            f"theirs; fetch the one you mean ({fetch}) and give the file"
        )
    others = sorted(name for name in names if not name.startswith("."))
    held = f"it holds {_listed(others)}" if others else "it is empty"
    raise WeightsError(f"{repository} holds no weights that are read here ({held})")


@dataclass(frozen=True)
class _Fetching:
    """Fetches files of one commit of a repository."""

    hub: Any
    repository: str
    revision: str
    commit: str
    files: dict[str, Any]

    def announce(self, names: list[str]) -> None:
        """Say what is going to be fetched, where it is not in the cache."""
        missing = [name for name in names if not self._kept(name)]
        if missing:
            size = sum(self.files[name].size or 0 for name in missing) / MEGABYTE
            warn(f"fetching {self.repository} from the hub: {_listed(missing)}, {size:,.1f} MB")

    def _kept(self, name: str) -> bool:
        return isinstance(self.hub.try_to_load_from_cache(self.repository, name, revision=self.commit), str)

    def __call__(self, name: str) -> Path:
        """Fetch a file, or find it in the cache, and compare it with its digest."""
        with _answers(self.hub, self.repository, self.revision):
            # By the revision's name, so that the cache knows without the hub which commit it stands for.
            found = self.hub.HfApi().hf_hub_download(
                self.repository, name, revision=self.revision or None, tqdm_class=Bar
            )
        path = Path(found)
        if self.commit not in path.parts:
            raise WeightsError(f"{self.repository} was changed while it was being fetched; run the command again")
        self._check(path, name)
        return path

    def _check(self, path: Path, name: str) -> None:
        """Compare a file with the digest that the hub states, once.

        Raises:
            WeightsError: it is another; it is removed from the cache.
        """
        sibling = self.files[name]
        lfs = sibling.lfs
        stated = lfs["sha256"] if isinstance(lfs, dict) else lfs.sha256 if lfs else sibling.blob_id
        if not stated or remembered.is_checked(stated):
            return
        found = _sha256(path) if lfs else _git_digest(path)
        if found != stated:
            for place in (path, path.resolve()):  # the link to it, and the file itself
                place.unlink(missing_ok=True)
            raise WeightsError(
                f"{name} of {self.repository} is not what the hub says it is (digest {found[:12]}... instead of "
                f"{stated[:12]}...): it was damaged on its way, and has been removed; run the command again"
            )
        remembered.remember_checked(stated)


class Bar:
    """What huggingface_hub takes for a progress bar of tqdm's: lines as vitrail writes them."""

    def __init__(self, *_: Any, total: float | None = None, initial: float = 0, desc: str = "", **__: Any) -> None:
        self.n, self.total, self.desc = initial, total, desc
        self.format_dict: dict[str, Any] = {}
        self._progress = Progress(f"MB of {desc.rpartition('/')[2]}", at_once=True)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, count: float = 1) -> None:
        """Note so many bytes more."""
        self.n += count
        if self.total:
            self._progress.reached(self.n / MEGABYTE, self.total / MEGABYTE)

    def close(self) -> None:
        """Write nothing more."""

    def _nothing(self, *_: object, **__: object) -> None:
        """Do what a bar on one line of the terminal would have to."""

    refresh = set_postfix_str = set_description = update_transfer = set_transfer_postfix_str = _nothing


def _shards(index: Path, files: Collection[str]) -> list[str]:
    """Return the files that an index of shards names; what is wrong with it, its reader says."""
    try:
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
    return sorted(name for name in files if name in named)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _git_digest(path: Path) -> str:
    """Return what git calls a file's content, which is what the hub states of small ones."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


# --- without it ---------------------------------------------------------------------------------------------


def _from_cache(hub: Any, repository: str, revision: str, reason: Unreachable, accept: bool) -> Fetched:
    """Find a repository that was fetched before.

    Raises:
        WeightsError: it was not.
    """
    kept = (hub.try_to_load_from_cache(repository, name, revision=revision or None) for name in KNOWN)
    folder = next((Path(file).parent for file in kept if isinstance(file, str)), None)
    names = {file.name for file in folder.iterdir()} if folder else set()
    if folder is None or not any(Path(name).suffix in SUFFIXES for name in names):
        raise WeightsError(_without_network(repository, revision, reason))
    licence = remembered.licence(repository) or licence_in_table(repository)
    check_licence(repository, licence, accept)
    if not hub.constants.HF_HUB_OFFLINE:
        warn(f"{reason}; {repository} is taken from the cache, at commit {folder.name[:7]}")
    weights = chosen(names, repository)
    return Fetched(folder if weights in FOLDER_FILES else folder / weights, folder.name, licence)


def _without_network(repository: str, revision: str, reason: Unreachable) -> str:
    folder = _folder(repository)
    at = ["--revision", revision] if revision else []
    fetch = command("hf", "download", repository, *at, "--local-dir", folder)
    return (
        f"{reason}, and {repository} is not in the cache; where there is a network, run: {fetch}; "
        f"then copy the folder {folder} here and give it in place of the name"
    )


def _folder(repository: str) -> str:
    return repository.partition("/")[2]


# --- what the hub refuses -----------------------------------------------------------------------------------


@contextlib.contextmanager
def _answers(hub: Any, repository: str, revision: str) -> Iterator[None]:
    """Turn what the hub, the network or the login lead to into one sentence.

    Raises:
        Unreachable: there is no answer.
        WeightsError: the hub refuses.
    """
    errors = hub.errors
    try:
        yield
    except errors.GatedRepoError:
        raise WeightsError(
            f"{repository} is open only to those who accept its terms: do so on {hub.constants.ENDPOINT}/{repository}, "
            "log in (hf auth login), and run the command again"
        ) from None
    except errors.RepositoryNotFoundError:
        hint = nearest(repository, [f"timm/{name}" for name in pretrained()])
        raise WeightsError(
            f"there is no repository {repository} on the hub, or it is private (then log in: hf auth login){hint}"
        ) from None
    except errors.RevisionNotFoundError:
        known = _revisions(hub, repository)
        hint = nearest(revision, known) or (f"; there are {_listed(known)}" if known else "")
        raise WeightsError(f"{repository} has no revision {revision}{hint}") from None
    except errors.HFValidationError as error:
        raise WeightsError(f"{repository} cannot be the name of a repository ({first_line(error)})") from None
    except errors.OfflineModeIsEnabled:
        raise Unreachable("huggingface_hub is offline (HF_HUB_OFFLINE)") from None
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", 0)
        if status == 401:
            raise WeightsError("the hub does not take your token; log in again (hf auth login)") from None
        if status < 500 and status != 429:
            raise WeightsError(f"{repository} cannot be fetched; the hub says: {first_line(error)}") from None
        raise Unreachable(f"the hub gives no answer now (status {status})") from None
    except WeightsError:
        raise
    except OSError as error:
        if error.errno is not None and not isinstance(error, ConnectionError):
            raise WeightsError(f"{repository} cannot be kept in the cache ({error.strerror or error})") from None
        raise Unreachable(f"the hub cannot be reached ({first_line(error)})") from None
    except Exception as error:  # of whichever library for HTTP huggingface_hub is built on
        raise Unreachable(f"the hub cannot be reached ({first_line(error)})") from None


def _revisions(hub: Any, repository: str) -> list[str]:
    try:
        refs = hub.HfApi().list_repo_refs(repository)
    except Exception:  # a hint is a convenience
        return []
    return [ref.name for ref in (*refs.branches, *refs.tags)]


def _listed(names: Collection[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:6]) + (f", ... ({len(shown)})" if len(shown) > 6 else "")


__all__ = ["Fetched", "chosen", "fetch", "first_line", "huggingface_hub"]
