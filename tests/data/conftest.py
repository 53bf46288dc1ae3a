"""Small data sets on the disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Layout = dict[str, int | bytes]
MakeFiles = Callable[[Layout], Path]


@pytest.fixture
def make_files(tmp_path: Path) -> MakeFiles:
    """Write files below a folder: a number seeds an image of noise, bytes are written as they are."""

    def make(layout: Layout) -> Path:
        root = tmp_path / "things"
        for name, content in layout.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                values = np.random.default_rng(content).integers(0, 256, (10, 12, 3), dtype=np.uint8)
                Image.fromarray(values).save(path)
        return root

    return make
