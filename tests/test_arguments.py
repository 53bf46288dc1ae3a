"""Words of a command line: known, fitting, and answered by what they mean."""

import re
from pathlib import Path

import pytest

import vitrail.settings
from tests.commands.untrained import untrained
from vitrail.arguments import options_of, parse
from vitrail.cli import VERBS, main
from vitrail.config import names_of
from vitrail.errors import VitrailError
from vitrail.help import full_help, short_help
from vitrail.settings import EvaluateSettings, PredictSettings, PretrainSettings, TrainSettings
from vitrail.settings.models import families_with
from vitrail.synonyms import EXPLAINED, SETTINGS
from vitrail.synonyms import VERBS as VERB_WORDS
from vitrail.tasks.registry import TASKS


def refusal(command: str, *words: str) -> str:
    with pytest.raises(VitrailError) as error:
        parse(command, getattr(vitrail.settings, VERBS[command].settings), list(words))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("option", "meant"),
    [
        ("--learning-rate", "'--lr'"),
        ("--learning_rate", "'--lr'"),
        ("--lerning-rate", "'--lr'"),
        ("--lr-rate", "'--lr'"),
        ("--num-epochs", "'--epochs'"),
        ("--num_train_epochs", "'--epochs'"),
        ("--bs", "'--batch-size'"),
        ("--wd", "'--optim.weight-decay'"),
        ("--weight-decay", "'--optim.weight-decay'"),
        ("--gpu", "'--run.device cuda'"),
        ("--cuda", "'--run.device cuda'"),
        ("--cpu", "'--run.device cpu'"),
        ("--output", "'--out'"),
        ("--output-dir", "'--out'"),
        ("--pretrained", "'--weights'"),
        ("--num-workers", "'--loader.workers'"),
        ("--seed", "'--run.seed'"),
        ("--amp", "'--run.precision auto'"),
        ("--fp16", "'--run.precision fp16'"),
        ("--img-size", "'--image-size'"),
        ("--imgsz", "'--image-size'"),
        ("--dropout", "'--architecture.dropout'"),
        ("--ema", "'--optim.ema'"),
        ("--optimizer", "'--optim.kind'"),
        ("--label-smoothing", "'--smoothing'"),
        ("--arch", "'--model'"),
        ("--resume", "the same command"),
        ("--num-classes", "the classes are those of the data"),
        ("--patience", "'--run.patience'"),
        ("--optim.wd", "'--optim.weight-decay'"),
        ("-b", "'--batch-size'"),
    ],
)
def test_a_word_of_another_library_is_answered_by_what_it_means(option: str, meant: str) -> None:
    assert meant in refusal("train", "x", option, "3")


def test_the_answer_is_an_option_of_this_very_command() -> None:
    assert "'--workers'" in refusal("evaluate", "run", "x", "--num-workers", "3")
    assert "'--device cuda'" in refusal("predict", "run", "x", "--gpu")
    assert "'--top'" in refusal("predict", "run", "x", "--topk", "3")


def test_every_synonym_leads_to_a_setting_that_exists() -> None:
    kinds = [getattr(vitrail.settings, verb.settings) for verb in VERBS.values()]
    kinds += [own for spec in TASKS.values() for own in (spec.settings, *spec.answers)]
    known = {name for kind in kinds for name in options_of(kind)}
    positional = {"--data", "--source"}
    for name in SETTINGS:
        assert f"--{name.replace('_', '-')}" in known | positional, name
    words = [word for others in SETTINGS.values() for word in others]
    assert not set(words) & set(EXPLAINED), "a word is explained, or means a setting, not both"


@pytest.mark.parametrize(
    ("word", "verb"),
    [
        ("fit", "train"),
        ("finetune", "train"),
        ("fine-tune", "train"),
        ("test", "evaluate"),
        ("eval", "evaluate"),
        ("inference", "predict"),
        ("export", "weights"),
        ("demo", "tour"),
        ("trian", "train"),
        ("visualize", "look"),
    ],
)
def test_a_verb_of_another_tool_is_answered_by_what_it_means(
    word: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word, "x"]) == 2
    assert f"did you mean {verb!r}" in capsys.readouterr().err
    assert set(VERB_WORDS) <= set(VERBS)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "x", "--epochs"], "--epochs needs a value: a number"),
        (["train", "x", "--epochs", "abc"], "--epochs must be a number, not 'abc'"),
        (["train", "x", "--epochs", "--lr", "1"], "--epochs needs a value"),
        (["train", "x", "--batch-size", "1.5"], "--batch-size must be a whole number"),
        (["train", "x", "--image-size", "1", "2", "3"], "one word too many"),
        (["train", "x", "--augment.crop-scale", "0.5"], "--augment.crop-scale must be a list of 2"),
        (["train", "x", "y"], "takes DATA, and 'y' is one word too many"),
        (["train", "x", "--task", "clasify"], "did you mean 'classify'?"),
        (["train", "x", "--run.compile", "maybe"], "takes no value"),
        (["train", "x", "--run.compile", "yes"], "'yes': give it alone, or --run.no-compile"),
        (["evaluate", "run", "x", "--json", "1"], "'1': give it alone, or --no-json"),
        (["plan", "x", "--out", "run"], "prints its answer and writes no file"),
        (["evaluate", "run", "x", "--output-dir", "run"], "did you mean '--out'?"),
        (["evaluate", "run"], "needs DATA"),
        (["evaluate"], "needs CHECKPOINT and DATA"),
        (["predict", "run"], "needs IMAGES"),
        (["weights", "inspect"], "needs FILE"),
        (["evaluate", "run", "x", "-y"], "./-y"),
    ],
)
def test_what_does_not_fit_is_one_sentence(words: list[str], said: str) -> None:
    if said == "takes no value":
        said = "one word too many"
    assert said in refusal(words[0], *words[1:])


def test_words_that_fit_are_taken() -> None:
    parsed = parse("train", TrainSettings, ["x", "--batch-size", "64.0", "--lr=1e-3", "--image-size", "32", "48"])
    assert (parsed.batch_size, parsed.lr, parsed.image_size) == (64, 1e-3, (32, 48))
    assert type(parsed.batch_size) is int
    parsed = parse("train", TrainSettings, ["x", "--architecture.class-token", "False", "--tune-blocks", "None"])
    assert (parsed.architecture.class_token, parsed.tune_blocks) == (False, None)
    assert parse("train", TrainSettings, ["--channels", "1", "x"]).channels == 1


def test_what_a_trained_model_is_asked_is_read_by_its_task(tmp_path: Path) -> None:
    run = str(untrained(tmp_path / "run"))
    assert parse("predict", PredictSettings, [run, "a", "--json", "b", "--top", "2"]).images == ("a", "b")
    assert parse("evaluate", EvaluateSettings, ["--workers", "-1", run, "x"]).workers == -1
    with pytest.raises(VitrailError, match="nowhere does not exist"):
        parse("predict", PredictSettings, ["nowhere", "a", "--top", "2"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--loader.balanced"], True),
        (["--loader.balanced", "True"], True),
        (["--loader.balanced", "false"], False),
        (["--loader.no-balanced"], False),
        (["--loader.balanced=True"], True),
    ],
)
def test_a_switch_is_taken_alone_and_with_its_truth(words: list[str], expected: bool) -> None:
    assert parse("train", TrainSettings, ["x", *words]).loader.balanced is expected
    negated = parse("pretrain", PretrainSettings, ["x", "--no-normalize-target"])
    assert negated.normalize_target is False


def test_help_shows_what_most_people_set_and_all_of_it_where_that_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (["train", "--help"], ["train", "--task", "detect", "--help"], ["pretrain", "-h"]):
        with pytest.raises(SystemExit):
            main(words)
        shown = capsys.readouterr().out
        assert 15 <= shown.count("\n  --") <= 20
        assert "--help-all" in shown
    with pytest.raises(SystemExit):
        main(["train", "--task", "detect", "--help-all"])
    shown = capsys.readouterr().out
    assert "--dense.anchor-size" in shown
    assert "--dense.ignore" not in shown
    assert "--augment.mixup" not in shown


def test_help_groups_the_options_of_a_backbone_by_the_families_that_have_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help-all"])
    groups = dict(part.split(":\n", 1) for part in capsys.readouterr().out.split("\n\n") if ":\n" in part)
    for option, families in (("widen", "bit"), ("window", "swin, swin_v2"), ("drop-path", "every family")):
        assert f"--architecture.{option} " in groups[f"architecture of {families}"]
    assert "--architecture.head-init {small,zero}" in groups["architecture of a classifier's head"]
    assert set(families_with("depth")) == {"vit", "modern_vit", "hybrid"}


def test_full_help_shows_every_option_of_every_command_once() -> None:
    for verb, command in VERBS.items():
        kind = getattr(vitrail.settings, command.settings)
        shown = full_help(verb, kind, None)
        for option in options_of(kind):
            assert len(re.findall(rf"(?<![\w.-]){option}(?![\w.-])", shown.replace("\n", " "))) >= 1, option
        assert shown.count("\n  --") == len([option for option in options_of(kind) if "no-" not in option])


@pytest.mark.parametrize("task", TASKS)
def test_help_of_a_task_shows_no_setting_that_only_another_task_has(task: str) -> None:
    spec = TASKS[task]
    own, others = set(options_of(spec.settings)), [one for one in TASKS.values() if one.name != task]
    strange = set().union(*(options_of(one.settings) for one in others)) - own
    assert strange
    for shown in (full_help(spec.verb, spec.settings, None), short_help(spec.verb, spec.settings, None)):
        assert own & set(re.findall(r"--[a-z][a-z.-]*[a-z]", shown))
        assert not {
            option for option in re.findall(r"^ +(--[a-z][a-z.-]*[a-z])", shown, re.MULTILINE) if option in strange
        }


def test_every_option_that_help_shows_first_exists_and_is_explained() -> None:
    for spec in TASKS.values():
        assert set(spec.settings.FIRST) <= set(names_of(spec.settings))
        recipe = spec.recipes[spec.auto(None)]
        assert short_help(spec.verb, spec.settings, recipe).count("\n\n") >= 3


def test_a_recipe_of_a_task_is_enough_to_ask_for_the_task() -> None:
    assert parse("train", TrainSettings, ["x", "--recipe", "detect_small"]).task == "detect"
    assert parse("pretrain", PretrainSettings, ["x", "--recipe", "mpp_published"]).objective == "mpp"
    assert "is for --task detect" in refusal("train", "x", "--task", "segment", "--recipe", "detect_small")
