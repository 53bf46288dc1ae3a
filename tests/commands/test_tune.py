"""Tuning the last blocks alone, with features kept and without."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import vitrail
from vitrail.commands import train
from vitrail.config import replace
from vitrail.errors import ConfigError
from vitrail.runs.split import run_split
from vitrail.settings import TrainSettings
from vitrail.tasks.recipes import find_recipe
from vitrail.training.checkpoint import resolve

STILL = {"crop": "none", "flip": 0.0, "mixup": 0.0, "cutmix": 0.0, "rand_augment": 0}


def tune(pretrained: Path, out: Path, **settings: Any) -> Any:
    common = {"weights": str(pretrained), "out": str(out), "labels": 90, "epochs": 2, "batch_size": 30, "channels": 1}
    base = find_recipe(TrainSettings, "finetune")
    wanted = replace(base, data="digits", **{**common, "lr": 2e-3, "tune_blocks": 1, "augment": STILL, **settings})
    return train.learn(wanted, run_split(wanted))


def weights(run: Any) -> dict[str, torch.Tensor]:
    return load_file(resolve(run.folder, "last") / "model.safetensors")


@pytest.mark.parametrize(
    ("blocks", "views"), [(0, 0), (0.5, 0), (1, 2)], ids=["head", "half", "one in two fixed views"]
)
def test_kept_features_teach_the_same_weights_as_the_images(
    pretrained: Path, tmp_path: Path, blocks: float, views: int
) -> None:
    changes: dict[str, Any] = {"tune_blocks": blocks, "architecture": {"drop_path": 0.2}, "run": {"precision": "fp32"}}
    if views:
        changes |= {"loader": {"views": views}, "augment": {**STILL, "crop": "random", "flip": 0.5}}
    runs = [tune(pretrained, tmp_path / kept, cache_features=kept, **changes) for kept in ("on", "off")]
    ours, theirs = map(weights, runs)
    assert runs[0].metrics == pytest.approx(runs[1].metrics, abs=1e-4)
    for name in theirs:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-5)


def test_only_the_last_block_the_norm_and_the_head_have_changed(pretrained: Path, tmp_path: Path) -> None:
    tuned, before = weights(tune(pretrained, tmp_path / "run")), load_file(resolve(pretrained) / "model.safetensors")
    changed = {
        name.removeprefix("backbone.")
        for name, tensor in tuned.items()
        if (old := before.get(name.replace("backbone.", "encoder."))) is not None and not torch.equal(tensor, old)
    }
    assert changed
    assert all(name.startswith(("blocks.1.", "norm.")) for name in changed), changed


def test_features_lie_beside_the_run_the_weights_are_of_and_serve_the_next_run(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tune(pretrained, tmp_path / "a")
    kept = sorted((pretrained / "features").glob("*/values.npy"))
    times = [path.stat().st_mtime_ns for path in kept]
    tune(pretrained, tmp_path / "b", lr=1e-3)
    assert [path.stat().st_mtime_ns for path in kept] == times
    assert str(pretrained / "features") in capsys.readouterr().out


def test_new_views_in_every_epoch_are_not_kept_and_the_reason_is_said(
    pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tune(pretrained, tmp_path / "a", epochs=1, augment={"flip": 0.5})
    assert "--loader.views" in capsys.readouterr().out
    with pytest.raises(ConfigError, match=r"--loader\.views 4"):
        tune(pretrained, tmp_path / "b", augment={"flip": 0.5}, cache_features="on")
    with pytest.raises(ConfigError, match="mixup and cutmix need images"):
        tune(pretrained, tmp_path / "c", augment={**STILL, "mixup": 0.2}, cache_features="on")


def test_a_number_of_blocks_the_model_lacks_is_one_sentence(pretrained: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1 to 2 of this model's blocks, not 7"):
        tune(pretrained, tmp_path / "run", tune_blocks=7)


def test_a_tuned_classifier_is_evaluated_as_any_other(pretrained: Path, tmp_path: Path) -> None:
    run = tune(pretrained, tmp_path / "run")
    best = json.loads((run.folder / "summary.json").read_text())["best"]
    assert vitrail.evaluate(str(run.folder), "digits", split="validation").top1 == pytest.approx(best["top1"], abs=6e-3)


def test_a_pretrained_run_is_fine_tuned_by_the_small_recipe_and_others_by_the_usual_one(
    pretrained: Path, classifier: Path
) -> None:
    small, usual = (find_recipe(TrainSettings, name) for name in ("finetune_small", "finetune"))
    checkpoint = resolve(pretrained)
    for weights in (pretrained, checkpoint, pretrained / "checkpoints" / "best"):
        assert find_recipe(TrainSettings, "auto", str(weights)) == small
    for weights in (classifier, "a/file.safetensors", pretrained / "checkpoints", pretrained / "metrics.jsonl"):
        assert find_recipe(TrainSettings, "auto", str(weights)) == usual
