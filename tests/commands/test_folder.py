"""Which command a run folder lets in."""

import json
from pathlib import Path

import pytest

from vitrail.errors import ConfigError
from vitrail.runs.run_folder import open_folder
from vitrail.tasks.mae.settings import MAESettings


def asked(out: Path, lr: float) -> Path:
    return open_folder(str(out), "pretrain", "digits", MAESettings(data="digits", lr=lr))


def test_a_run_refused_before_it_began_leaves_its_folder_to_the_mended_command(tmp_path: Path) -> None:
    asked(tmp_path / "run", lr=1.0)
    assert asked(tmp_path / "run", lr=2.0) == tmp_path / "run"


@pytest.mark.parametrize("left", ["checkpoints", "target.safetensors"])
def test_what_a_run_has_begun_belongs_to_it_alone(tmp_path: Path, left: str) -> None:
    (asked(tmp_path / "run", lr=1.0) / left).mkdir()
    with pytest.raises(ConfigError, match="lr is 1"):
        asked(tmp_path / "run", lr=2.0)


def test_a_folder_of_an_older_vitrail_that_lacks_a_newer_setting_goes_on(tmp_path: Path) -> None:
    folder = asked(tmp_path / "run", lr=1.0)
    (folder / "checkpoints").mkdir()
    known = json.loads((folder / "config.json").read_text())
    del known["run"]["timeout"], known["optim"]["ema"]
    (folder / "config.json").write_text(json.dumps(known))
    assert asked(folder, lr=1.0) == folder
