"""An option that would change nothing is refused in a sentence, on the command line and in Python."""

from pathlib import Path

import pytest

import vitrail
import vitrail.settings
from vitrail.arguments import parse
from vitrail.cli import VERBS, main
from vitrail.errors import VitrailError
from vitrail.meaning import RULES, check_meant
from vitrail.settings import PredictSettings, PretrainSettings, TrainSettings
from vitrail.tasks.asked import answer_settings
from vitrail.tasks.recipes import RECIPES, recipe_name
from vitrail.tasks.registry import TASKS, find_spec

IDLE = [
    ("plan digits --accept-license", "is for a model that --weights names"),
    ("models --pretrained --recipes", "says nothing about published encoders"),
    ("train x --dense.width 64", "it belongs to --task detect or --task segment"),
    ("train x --task detect --dense.ignore 3", "it belongs to --task segment"),
    ("train x --task segment --dense.queries 3", "it belongs to --task detect"),
    ("train x --task detect --loader.balanced", "it belongs to --task classify"),
    ("train x --task detect --dense.head detr --dense.samples 3", "no part in the head detr"),
    ("train x --task detect --dense.queries 3", "is for --dense.head detr"),
    ("train x --task detect --dense.jitter none --dense.jitter-scale 0.3 3", "no effect"),
    ("train x --task segment --dense.head linear --dense.width 32", "no part in the head linear"),
    ("train x --cache-features off", "--cache-features goes with --tune-blocks"),
    ("train x --freeze 2 --tune-blocks 1", "exclude each other"),
    ("train x --recipe probe --weights w --epochs 3", "fits the head at once"),
    ("train x --augment.rand-augment 0 --augment.rand-augment-ops 3", "RandAugment, which is off"),
    ("train x --augment.mixup 0 --augment.cutmix 0 --augment.mix-probability 0.5", "mixup and cutmix, which are off"),
    ("train x --augment.mixup 0.5 --augment.cutmix 0 --augment.mix-switch 0.2", "give both"),
    ("train x --optim.momentum 0.5", "--optim.kind sgd or lars"),
    ("train x --optim.kind sgd --optim.betas 0.5 0.6", "--optim.kind adamw"),
    ("train x --schedule.kind constant --schedule.min-factor 0.1", "does not fall"),
    ("train x --augment.crop none --augment.crop-scale 0.5 1", "--augment.crop random"),
    ("pretrain x --loader.balanced", "has no option '--loader.balanced'"),
    ("pretrain x --labels 10", "no labels are learned from here"),
    ("pretrain x --components 5", "--target pca"),
    ("pretrain x --vocabulary 5", "--target tokens"),
    ("pretrain x --target tokens --tokenizer t.py:make --vocabulary 5", "is that of the tokenizer"),
    ("pretrain x --objective mpp --no-normalize-target", "it belongs to --objective mae"),
    ("pretrain x --target pca --no-normalize-target", "says nothing"),
    ("pretrain x --mask 0-3 --mask-ratio 0.5", "that of --mask"),
    ("pretrain x --mask 0-3 --masking block", "exclude each other"),
    ("look r --method grad-cam", "add --explain CLASS"),
    ("look r --explain predicted --permutations 9", "add --method shapley"),
    ("look r --fill mean", "is about what is removed"),
    ("look r --counterfactual middle", "add --fill"),
    ("look r --shortcuts", "add --fill"),
    ("look r --explain predicted --fillings 3", "add --counterfactual REGION"),
    ("look r --explain predicted --shortcut-images 3", "add --shortcuts"),
    ("probe w x --tune-blocks --tune-epochs 3", "names no blocks"),
    ("probe w x --rates --epochs 3", "names none"),
    ("tour --task detect --labels 10", "--train-epochs"),
    ("tour --task segment --pretrain-epochs 1", "--train-epochs"),
    ("paper --seeds 2", "name one"),
    ("paper vit-resnets --model vit_b16", "cannot be chosen"),
    ("models --recipes --flops", "recipes"),
    ("models vit --recipes", "recipes"),
    ("models --figure x.png", "--flops"),
    ("models --flops --image-sizes 64", "fixed"),
    ("weights inspect f --to timm", "is for convert and push"),
    ("weights inspect f --out x", "is for convert"),
    ("weights convert f --to timm --out x --source y", "is for verify"),
    ("weights verify f --image x", "--source"),
    ("weights inspect f --private", "is for push"),
    ("doctor --ignore 3", "name the data set"),
]


@pytest.mark.parametrize(("words", "said"), IDLE)
def test_an_option_that_changes_nothing_is_refused(words: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words.split()) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


def test_two_formats_that_contradict_are_refused() -> None:
    with pytest.raises(VitrailError, match="contradict"):
        answer_settings(PredictSettings, find_spec("classify"), checkpoint="r", images=("x",), json=True, format="csv")


def test_a_value_that_only_one_task_takes_is_not_refused_before_the_model_is_found(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["predict", "no_such_run", "x", "--format", "csv"]) == 2
    assert "no_such_run does not exist" in capsys.readouterr().err


def test_every_rule_is_tried_above() -> None:
    tried = set()
    for words, _ in IDLE:
        kind = VERBS[words.split()[0]].settings
        tried |= {(kind, said) for said in (rule.reason for rule in RULES.get(kind, ())) if said}
    assert {(kind, rule.reason) for kind, rules in RULES.items() for rule in rules} <= tried
    for rule in {rule for spec in TASKS.values() for rule in spec.settings.RULES}:
        assert any(part in rule.reason or rule.reason[:12] in part for _, part in IDLE), rule.reason


@pytest.mark.parametrize("name", [name for kind in RECIPES for name in RECIPES[kind]])
def test_every_recipe_can_be_asked_for_as_it_is(name: str) -> None:
    command = "train" if name in RECIPES[TrainSettings] else "pretrain"
    parse(command, getattr(vitrail.settings, VERBS[command].settings), ["x", "--recipe", name])


def test_what_a_recipe_says_is_not_held_against_who_changes_another_setting() -> None:
    parse("train", TrainSettings, ["x", "--augment.crop", "none"])  # the recipe has a crop_scale of its own
    parse("train", TrainSettings, ["x", "--optim.kind", "sgd", "--optim.momentum", "0.8"])
    parse("pretrain", PretrainSettings, ["x", "--target", "pca", "--components", "8"])


def test_python_refuses_the_same() -> None:
    with pytest.raises(VitrailError, match=r"dense\.width is a setting of --task"):
        vitrail.train("digits", dense={"width": 32})
    with pytest.raises(VitrailError, match="components"):
        vitrail.pretrain("digits", components=3)
    with pytest.raises(VitrailError, match="labels"):
        vitrail.tour(task="detect", labels=3)


def test_defaults_are_never_refused() -> None:
    for kind, rules in [
        *((getattr(vitrail.settings, name), rules) for name, rules in RULES.items()),
        *((spec.settings, spec.settings.RULES) for spec in TASKS.values()),
    ]:
        cls = kind
        fields = [name for name, field in cls.__dataclass_fields__.items() if field.default is field.default_factory]
        assert rules
        check_meant(cls(**dict.fromkeys(fields, "x")))
    assert recipe_name(TrainSettings, "auto") == "scratch"


def test_a_share_to_hold_out_is_refused_where_the_data_has_a_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    for command in ("train", "pretrain"):
        assert main([command, "digits", "--validation-share", "0.5", "--out", str(out)]) == 2
        assert "digits has one of 200 images" in capsys.readouterr().err
        assert not out.exists()


def test_patience_without_anything_to_evaluate_and_a_compiler_that_is_missing_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    assert main(["train", "digits", "--run.compile", "--run.device", "cpu", "--out", str(tmp_path / "run")]) == 2
    assert "C++ compiler" in capsys.readouterr().err
