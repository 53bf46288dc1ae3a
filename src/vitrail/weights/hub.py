"""Models as folders that a model hub can hold: saved with a card, opened from a folder or a repository, pushed."""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from vitrail.errors import WeightsError
from vitrail.serialize import share
from vitrail.training.checkpoint import CONFIG, MODEL
from vitrail.weights.calibration_file import copy_calibration
from vitrail.weights.card import CARD, model_card
from vitrail.weights.checkpoint import open_checkpoint
from vitrail.weights.description import Description, description_json
from vitrail.weights.fetch import first_line, huggingface_hub
from vitrail.weights.named import HUB, REPOSITORY, find_model
from vitrail.weights.open_any import model_of
from vitrail.weights.paths import path_of
from vitrail.weights.sidecars import read_json
from vitrail.weights.trusted import find_trust_card, read_trust_card
from vitrail.weights.weights_file import WeightsFile

NAME = re.compile(r"[\w.-]+/[\w.-]+")


def save_pretrained(
    source: str | Path | nn.Module,
    folder: str | Path,
    description: Description | None = None,
    trust: str | Path | None = None,
) -> Path:
    """Write a model as a folder that `from_pretrained` opens and a model hub can hold.

    Args:
        source: a run folder, a checkpoint, anybody's weights file, or a model.
        folder: where to; made if need be, and what it holds under the same names is replaced.
        description: of a model its name, preprocessing and classes; of files they are known.
        trust: the ``trust.json`` that `vitrail.trust_card` wrote about these weights; by default that of a run.

    Returns:
        The folder: ``model.safetensors``, ``config.json`` and ``README.md``, a model card; and what is stored of when
        the model can be believed, if anything is (`vitrail.weights.calibration_file`).

    Raises:
        WeightsError: the source cannot be read, a model comes without a description, the trust card is about other
            weights, or the folder cannot be written.
    """
    return _save(source, path_of(folder), description, "OWNER/NAME", trust)


def _save(
    source: str | Path | nn.Module,
    target: Path,
    description: Description | None,
    repository: str,
    trust: str | Path | None,
) -> Path:
    if not isinstance(description, Description | None):
        raise WeightsError(f"a description is a vitrail.weights.description.Description, not {_type(description)}")
    if isinstance(source, nn.Module):
        if description is None:
            raise WeightsError("to save a model say what it is: save_pretrained(model, folder, description=...)")
        model, metrics = source, {}
    else:
        model, found = _open(WeightsFile(source))
        description, metrics = description or found, _metrics(find_model(source).path)
        trust = trust or find_trust_card(find_model(source).path)
    parts = read_trust_card(path_of(trust), model.state_dict()) if trust else ()
    try:
        target.mkdir(parents=True, exist_ok=True)
        state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
        save_file(state, target / MODEL, metadata={"format": "pt"})
        share(target / MODEL)
        (target / CONFIG).write_text(json.dumps(description_json(description), indent=2) + "\n", encoding="utf-8")
        (target / CARD).write_text(model_card(description, metrics, repository, parts), encoding="utf-8")
        if not isinstance(source, nn.Module):
            copy_calibration(source, model, description.preprocessing, target)
    except OSError as error:
        raise WeightsError(f"{target} cannot be written ({error.strerror or error})") from None
    return target


def from_pretrained(
    source: str | Path, *, num_heads: int | None = None, accept_license: bool = False
) -> tuple[nn.Module, Description]:
    """Open a model with its weights, in evaluation mode.

    Args:
        source: a folder that `save_pretrained` wrote, a run folder or checkpoint, anybody's weights file or folder of
            a hub (transformers', timm's), or a repository on the Hugging Face hub, ``hf:OWNER/NAME@REVISION`` or
            ``OWNER/NAME``.
        num_heads: number of heads, where nothing in or beside the weights says it (a warning tells).
        accept_license: the licence of what is fetched is accepted, where it asks for that; remembered for later.

    Returns:
        The model, and what is known of it: preprocessing and class names.

    Raises:
        WeightsError: there is no such thing, or it belongs to no model here.
        MissingExtra: a repository is named, and huggingface_hub is not installed.
    """
    is_bare = isinstance(source, str) and REPOSITORY.fullmatch(source) and not path_of(source).exists()
    return _open(WeightsFile(f"{HUB}{source}" if is_bare else source, num_heads, accept_license=accept_license))


def push_to_hub(
    source: str | Path | nn.Module,
    repository: str,
    *,
    description: Description | None = None,
    trust: str | Path | None = None,
    private: bool = False,
    message: str = "Add the model",
) -> str:
    """Push a model to the Hugging Face hub, with a model card; the repository is made if need be.

    Who you are is huggingface_hub's business: log in with ``hf auth login`` first.

    Args:
        source: as for `save_pretrained`.
        repository: ``owner/name``.
        description, trust: as for `save_pretrained`.
        private: only for you to see, if it is made.
        message: of the commit.

    Returns:
        The address of the repository.

    Raises:
        WeightsError: the model cannot be read, or the hub refuses it.
        MissingExtra: huggingface_hub is not installed.
    """
    hub = huggingface_hub("pushing to a hub")
    if not isinstance(repository, str) or not NAME.fullmatch(repository):
        raise WeightsError(f"a repository is named OWNER/NAME, not {repository!r}")
    with tempfile.TemporaryDirectory() as folder:
        _save(source, Path(folder), description, repository, trust)
        try:
            api = hub.HfApi()
            address = api.create_repo(repository, private=private, exist_ok=True)
            api.upload_folder(folder_path=folder, repo_id=repository, commit_message=message)
        except Exception as error:  # whatever the network, the hub or the login lead to
            reason = f"{repository} could not be pushed ({first_line(error)})"
            raise WeightsError(f"{reason}; is it yours, and are you logged in (hf auth login)?") from None
    return str(address)


def _type(value: object) -> str:
    return type(value).__name__


def _open(weights: WeightsFile) -> tuple[nn.Module, Description]:
    """Open a model, whoever wrote it."""
    if weights.is_own:
        return open_checkpoint(weights.source)
    description = weights.description
    if weights.assumption:
        warnings.warn(f"{weights.path}: assumed {weights.assumption}", stacklevel=3)
    return model_of(weights, description), description


def _metrics(source: Path) -> dict[str, float]:
    """Return what a run reached at its best; empty for what is no run."""
    summary = read_json(source / "summary.json")
    best = summary.get("best", {})
    return {str(name): float(value) for name, value in best.items()} if isinstance(best, dict) else {}
