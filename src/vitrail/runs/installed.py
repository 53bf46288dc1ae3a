"""What is installed and used here: versions, hardware, and the precision that ``auto`` means."""

from __future__ import annotations

import os
from importlib import metadata

PACKAGES = ("vitrail", "torch", "torchvision", "pillow", "scikit-learn", "faster-coco-eval")
EXTRAS = {"tensorboard": "tensorboard", "timm": "test", "transformers": "test"}


def installed() -> dict[str, str]:
    """Return versions, hardware, and the precision that ``auto`` means here."""
    from vitrail.layers.attention_cpu import why_missing
    from vitrail.training.runtime import Runtime

    runtime = Runtime.named()
    facts = {name: _version(name) for name in PACKAGES}
    facts["device"] = runtime.hardware
    facts["threads"] = f"{runtime.threads} of {os.cpu_count()} cores"
    facts["precision auto"] = f"{runtime.precision.name} ({runtime.precision.reason})"
    facts["fused attention on the CPU"] = why_missing() or "ready"
    for name, extra in EXTRAS.items():
        version = _version(name)
        facts[name] = version if version else f'not installed; pip install "vitrail[{extra}]"'
    return facts


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


__all__ = ["installed"]
