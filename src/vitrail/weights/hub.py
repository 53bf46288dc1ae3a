"""Models as folders that a model hub can hold: saved with a card, opened from a folder or a repository, pushed."""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

from safetensors.torch import save_file
from torch import nn

from vitrail.errors import MissingExtra, WeightsError
from vitrail.models.registry import build_model
from vitrail.seeding import preserved
from vitrail.serialize import share
from vitrail.training.checkpoint import CONFIG, MODEL
from vitrail.weights.card import CARD, model_card
from vitrail.weights.checkpoint import open_checkpoint
from vitrail.weights.description import Description, description_json
from vitrail.weights.load import load_weights
from vitrail.weights.paths import path_of
from vitrail.weights.sidecars import read_json
from vitrail.weights.weights_file import WeightsFile

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")

# What is fetched of a repository: safetensors, or what older repositories have in their place.
PATTERNS = (["*.json", "*.safetensors", CARD], ["*.json", "*.bin", "*.pth", "*.npz"])


def save_pretrained(source: str | Path | nn.Module, folder: str | Path, description: Description | None = None) -> Path:
    """Write a model as a folder that `from_pretrained` opens and a model hub can hold.

    Args:
        source: a run folder, a checkpoint, anybody's weights file, or a model.
        folder: where to; made if need be, and what it holds under the same names is replaced.
        description: of a model its name, preprocessing and classes; of files they are known.

    Returns:
        The folder: ``model.safetensors``, ``config.json`` and ``README.md``, a model card.

    Raises:
        WeightsError: the source cannot be read, a model comes without a description, or the folder cannot be written.
    """
    return _save(source, path_of(folder), description, "OWNER/NAME")


def _save(source: str | Path | nn.Module, target: Path, description: Description | None, repository: str) -> Path:
    if not isinstance(description, Description | None):
        raise WeightsError(f"a description is a vitrail.weights.description.Description, not {_type(description)}")
    if isinstance(source, nn.Module):
        if description is None:
            raise WeightsError("to save a model say what it is: save_pretrained(model, folder, description=...)")
        model, metrics = source, {}
    else:
        path = path_of(source)
        model, found = _open(path)
        description, metrics = description or found, _metrics(path)
    try:
        target.mkdir(parents=True, exist_ok=True)
        state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
        save_file(state, target / MODEL, metadata={"format": "pt"})
        share(target / MODEL)
        (target / CONFIG).write_text(json.dumps(description_json(description), indent=2) + "\n", encoding="utf-8")
        (target / CARD).write_text(model_card(description, metrics, repository), encoding="utf-8")
    except OSError as error:
        raise WeightsError(f"{target} cannot be written ({error.strerror or error})") from None
    return target


def from_pretrained(source: str | Path, *, num_heads: int | None = None) -> tuple[nn.Module, Description]:
    """Open a model with its weights, in evaluation mode.

    Args:
        source: a folder that `save_pretrained` wrote, a run folder or checkpoint, anybody's weights file or folder of
            a hub (transformers', timm's), or the name of a repository on the Hugging Face hub, ``owner/name``.
        num_heads: number of heads, where nothing in or beside the weights says it (a warning tells).

    Returns:
        The model, and what is known of it: preprocessing and class names.

    Raises:
        WeightsError: there is no such thing, or it belongs to no model here.
        MissingExtra: a repository is named, and huggingface_hub is not installed.
    """
    path = path_of(source)
    if not path.exists() and REPOSITORY.fullmatch(str(source)):
        path = _fetch(str(source))
    return _open(path, num_heads)


def push_to_hub(
    source: str | Path | nn.Module,
    repository: str,
    *,
    description: Description | None = None,
    private: bool = False,
    message: str = "Add the model",
) -> str:
    """Push a model to the Hugging Face hub, with a model card; the repository is made if need be.

    Who you are is huggingface_hub's business: log in with ``hf auth login`` first.

    Args:
        source: as for `save_pretrained`.
        repository: ``owner/name``.
        description: as for `save_pretrained`.
        private: only for you to see, if it is made.
        message: of the commit.

    Returns:
        The address of the repository.

    Raises:
        WeightsError: the model cannot be read, or the hub refuses it.
        MissingExtra: huggingface_hub is not installed.
    """
    hub = _hub("pushing to a hub")
    if not isinstance(repository, str) or not REPOSITORY.fullmatch(repository):
        raise WeightsError(f"a repository is named OWNER/NAME, not {repository!r}")
    with tempfile.TemporaryDirectory() as folder:
        _save(source, Path(folder), description, repository)
        try:
            api = hub.HfApi()
            address = api.create_repo(repository, private=private, exist_ok=True)
            api.upload_folder(folder_path=folder, repo_id=repository, commit_message=message)
        except Exception as error:  # whatever the network, the hub or the login lead to
            reason = f"{repository} could not be pushed ({_reason(error)})"
            raise WeightsError(f"{reason}; is it yours, and are you logged in (hf auth login)?") from None
    return str(address)


def _type(value: object) -> str:
    return type(value).__name__


def _open(path: Path, num_heads: int | None = None) -> tuple[nn.Module, Description]:
    """Open what is on the disk, whoever wrote it."""
    weights = WeightsFile(path, num_heads)
    if weights.is_own:
        return open_checkpoint(path)
    description = weights.description
    if weights.assumption:
        warnings.warn(f"{weights.path}: assumed {weights.assumption}", stacklevel=3)
    with preserved():
        model: Any = build_model(description.model.name, **description.model.options)
    load_weights(model, weights)
    return model.eval(), description


def _fetch(repository: str) -> Path:
    hub = _hub("opening a repository")
    try:
        for patterns in PATTERNS:
            folder = Path(hub.snapshot_download(repository, allow_patterns=patterns))
            if any(path.suffix != ".json" and path.name != CARD for path in folder.iterdir()):
                return folder
    except Exception as error:  # whatever the network, the hub or the login lead to
        raise WeightsError(f"{repository} is no folder here, and the hub says: {_reason(error)}") from None
    raise WeightsError(f"{repository} holds no weights")


def _hub(purpose: str) -> ModuleType:
    try:
        import huggingface_hub
    except ImportError:
        raise MissingExtra("huggingface_hub", "hub", purpose) from None
    return huggingface_hub


def _metrics(source: Path) -> dict[str, float]:
    """Return what a run reached at its best; empty for what is no run."""
    summary = read_json(source / "summary.json")
    best = summary.get("best", {})
    return {str(name): float(value) for name, value in best.items()} if isinstance(best, dict) else {}


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
