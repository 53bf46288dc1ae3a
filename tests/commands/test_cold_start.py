"""What a user waits for before a first answer."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vitrail

SWIN = {"embed_width": 32, "depths": (1, 1, 1, 1), "window": 4}
VIT = {"patch_size": 8, "width": 32, "depth": 1, "num_heads": 2}


@pytest.mark.parametrize(("model", "architecture"), [("vit_ti16", VIT), ("swin_t", SWIN)])
@pytest.mark.parametrize("bare", [False, True])
def test_an_eager_prediction_does_not_import_the_compiler(
    model: str, architecture: dict, bare: bool, tmp_path: Path
) -> None:
    run = vitrail.train(
        "digits", model=model, architecture=architecture, image_size=32, labels=50, epochs=0.1, out=tmp_path / "run"
    ).folder
    if bare:  # a file of weights with nothing beside it
        run = shutil.copy(
            run / "checkpoints" / (run / "checkpoints" / "best").read_text().strip() / "model.safetensors", tmp_path
        )
    Image.fromarray(np.full((32, 32), 90, np.uint8)).save(tmp_path / "image.png")
    script = (
        "import sys; from vitrail.cli import main;"
        f"code = main(['predict', {str(run)!r}, {str(tmp_path / 'image.png')!r}]);"
        "assert code == 0;"
        "assert not {'torch._dynamo', 'torch._inductor', 'sympy', 'scipy.stats'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=300, capture_output=True)
