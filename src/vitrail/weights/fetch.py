"""Models from the Hugging Face hub, through huggingface_hub: its cache, its tokens, its endpoint."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from vitrail.errors import MissingExtra, WeightsError

CARD = "README.md"

# What is fetched of a repository: safetensors, or what older repositories have in their place.
PATTERNS = (["*.json", "*.safetensors", CARD], ["*.json", "*.bin", "*.pth", "*.npz"])


FETCHED: dict[tuple[str, str], Path] = {}
"""What this process has fetched: asked again, all parts of a command see the same commit, and the hub is asked once."""


def fetch(repository: str, revision: str = "") -> Path:
    """Fetch a repository's weights and what lies beside them, where they are not in the cache.

    Args:
        repository: ``OWNER/NAME``.
        revision: a branch, a tag or a commit; "" for the default branch.

    Returns:
        The folder of that commit in huggingface_hub's cache.

    Raises:
        WeightsError: it cannot be fetched, or holds no weights.
        MissingExtra: huggingface_hub is not installed.
    """
    key = (repository, revision)
    if key not in FETCHED or not FETCHED[key].is_dir():
        FETCHED[key] = _fetch(repository, revision)
    return FETCHED[key]


def _fetch(repository: str, revision: str) -> Path:
    hub = huggingface_hub("opening a repository")
    try:
        for patterns in PATTERNS:
            folder = Path(hub.snapshot_download(repository, revision=revision or None, allow_patterns=patterns))
            if any(path.suffix != ".json" and path.name != CARD for path in folder.iterdir()):
                return folder
    except Exception as error:  # whatever the network, the hub or the login lead to
        raise WeightsError(f"{repository} cannot be fetched; the hub says: {first_line(error)}") from None
    raise WeightsError(f"{repository} holds no weights")


def huggingface_hub(purpose: str) -> ModuleType:
    """Import huggingface_hub.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import huggingface_hub
    except ImportError:
        raise MissingExtra("huggingface_hub", "hub", purpose) from None
    return huggingface_hub


def first_line(error: Exception) -> str:
    """Return the first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


__all__ = ["fetch", "first_line", "huggingface_hub"]
