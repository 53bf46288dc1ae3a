import subprocess
import sys
from pathlib import Path

import pytest

from vitrail.cli import VERBS, main, parse
from vitrail.settings import PretrainSettings, TrainSettings


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([verb, "--help"])
    assert stop.value.code == 0
    assert f"usage: vitrail {verb}" in capsys.readouterr().out


def test_opening_a_checkpoint_does_not_wait_for_the_compiler() -> None:
    code = "import sys, vitrail.commands.predict; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys; from vitrail.cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: sys.exit('torch' in sys.modules or 'torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["trian"], "did you mean 'train'"),
        (["train", "x", "--epoch", "3"], "did you mean '--epochs'"),
        (["train", "x", "--weight-decay", "3"], "did you mean '--optim.weight-decay'"),
        (["train", "x", "--recipe", "finetun"], "did you mean 'finetune'"),
        (["train"], "needs images"),
        (["train", "digits", "--model", "vit_b61"], "did you mean 'vit_b16'"),
        (["train", "/no/such/folder"], "no folder"),
        (["pretrain", "digits", "--mask-ratio", "1"], "--mask-ratio"),
        (["train", "digits", "--weights", "/no/such/file.pth"], "/no/such/file.pth"),
        (["evaluate", "/no/such/run", "digits"], "does not exist"),
        (["predict", "/no/such/run", "/no/such.png"], "/no/such/run does not exist"),
        (["models", "nothing_like_it"], "no model's name"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_two(
    words: list[str], answer: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    said = capsys.readouterr().err
    assert answer in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir()), "a refused command leaves nothing behind"


def test_options_reach_nested_settings() -> None:
    settings = parse("train", ["photos", "--lr", "1e-3", "--optim.weight-decay", "0.2", "--run.seed", "7"])
    assert isinstance(settings, TrainSettings)
    assert (settings.data, settings.lr, settings.optim.weight_decay, settings.run.seed) == ("photos", 1e-3, 0.2, 7)


def test_the_recipe_gives_what_is_not_said_and_yields_to_what_is() -> None:
    settings = parse("pretrain", ["photos", "--recipe", "mae_published", "--batch-size", "64"])
    assert isinstance(settings, PretrainSettings)
    assert (settings.epochs, settings.batch_size, settings.model) == (800, 64, "vit_b16")


def test_weights_turn_training_into_fine_tuning() -> None:
    assert parse("train", ["photos", "--weights", "x"]).optim.layer_decay < 1
    assert parse("train", ["photos"]).optim.layer_decay == 1
