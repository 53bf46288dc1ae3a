from pathlib import Path

import pytest
from PIL import Image

from vitrail.cli import main


def test_growth_is_printed_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "new" / "growth.png"
    assert main(["models", "--flops", "--figure", str(file)]) == 0
    said = capsys.readouterr().out
    assert "swin_t" in said
    assert "vit_s16" in said
    assert "W-MSA" in said
    with Image.open(file) as image:
        assert image.width > 1000


def test_a_name_without_attention_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "swin_x", "--flops"]) == 2
    assert "no Swin or ViT is named 'swin_x'" in capsys.readouterr().err
