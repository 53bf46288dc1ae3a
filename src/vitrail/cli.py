"""The command line: ``vitrail VERB ...``. Torch is imported only once a verb runs, so that help answers at once."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import os
import re
import sys
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from vitrail.console import never_fail, printable
from vitrail.errors import Interrupted, VitrailError, nearest


@dataclass(frozen=True)
class Verb:
    """A verb of the command line: its settings in `vitrail.settings`, and the module that does its work."""

    settings: str
    module: str
    help: str


VERBS: dict[str, Verb] = {
    "tour": Verb("TourSettings", "verbs.tour", "the whole line in three minutes: pretrain, fine-tune, compare, look"),
    "pretrain": Verb("PretrainSettings", "verbs.pretrain", "pretrain an encoder on pictures without labels"),
    "train": Verb("TrainSettings", "verbs.train", "train a classifier, detector or segmenter, from scratch or weights"),
    "evaluate": Verb("EvaluateSettings", "verbs.evaluate", "measure a trained model on labelled pictures"),
    "probe": Verb("ProbeSettings", "verbs.probe", "measure an encoder: neighbours, linear probe, last blocks"),
    "plan": Verb("PlanSettings", "verbs.plan", "say how to train on this machine in the hours there are"),
    "predict": Verb("PredictSettings", "verbs.predict", "say what is in pictures"),
    "look": Verb("LookSettings", "verbs.look", "draw what a model sees"),
    "paper": Verb("PaperSettings", "papers.catalogue", "run a table of the papers, at any scale"),
    "weights": Verb("WeightsSettings", "verbs.weights", "inspect, convert, verify or push a weights file"),
    "models": Verb("ModelsSettings", "verbs.models", "list models with cost and published accuracy, or recipes"),
    "doctor": Verb("DoctorSettings", "verbs.doctor", "say what is installed, and check a data set"),
}


# How often an idle thread of torch's looks for work before it sleeps. The C library's default keeps whole cores busy
# with waiting: next to another program, training became 30 times slower; this costs nothing alone (docs/log.md).
THREAD_PATIENCE = "1000"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0 done, 2 a mistake to mend, 130 or 143 interrupted and saved."""
    os.environ.setdefault("GOMP_SPINCOUNT", THREAD_PATIENCE)
    never_fail()
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(words)
    except VitrailError as error:
        _complain(error)
        return 2
    except Interrupted as stop:
        _complain(stop)
        return stop.exit_code
    except KeyboardInterrupt:
        print("vitrail: interrupted; nothing was being written", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone; flushing again at exit would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _complain(error: object) -> None:
    """Say on standard error what is wrong; names in it cannot act on the terminal."""
    print(f"vitrail: {printable(error)}", file=sys.stderr)


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if words else 2
    if words[0] == "--version":
        from vitrail import __version__

        print(f"vitrail {__version__}")
        return 0
    name, *rest = words
    if name not in VERBS:
        raise VitrailError(f"there is no verb {name!r}{nearest(name, VERBS) or '; see: vitrail --help'}")
    settings = parse(name, rest)
    if getattr(settings, "data", None) == "" and name != "doctor":
        raise VitrailError(f'vitrail {name} needs pictures: a folder, a CSV, or "digits" (embedded)')
    importlib.import_module(f"vitrail.{VERBS[name].module}").run(settings)
    return 0


def overview() -> str:
    """Return the page that ``vitrail --help`` prints."""
    verbs = "\n".join(f"  {name:<10}{verb.help}" for name, verb in VERBS.items())
    return (
        "vitrail: train, see into and trust vision transformers\n\n"
        f"usage: vitrail VERB ...\n\n{verbs}\n\n"
        "  vitrail VERB --help    every option of a verb, with its default\n"
        "  vitrail tour           a good place to start"
    )


def parse(name: str, words: list[str]) -> Any:
    """Turn the words after a verb into its settings; what is not given comes from the verb's recipe."""
    import tyro

    import vitrail.settings

    kind = getattr(vitrail.settings, VERBS[name].settings)
    _check_options(name, kind, words)
    default = {"default": _recipe(kind, words)} if name in ("train", "pretrain") else {}
    return tyro.cli(kind, args=words, prog=f"vitrail {name}", description=(kind.__doc__ or "").strip(), **default)


def _check_options(verb: str, kind: Any, words: list[str]) -> None:
    """Answer a misspelt option with the nearest right ones, before anything else is looked at."""
    known = {*_options(kind), "--help"}
    for word in words:
        option = word.split("=")[0]
        if option.startswith("--") and option not in known:
            leaf = option.rpartition(".")[2].removeprefix("--")
            same = [f"; did you mean {full!r}?" for full in sorted(known) if re.split(r"[.]|--", full)[-1] == leaf]
            hint = same[0] if same else nearest(option, known) or f"; see: vitrail {verb} --help"
            raise VitrailError(f"vitrail {verb} has no option {option!r}{hint}")


def _options(kind: Any, prefix: str = "") -> Iterator[str]:
    """List the options of a settings class as the command line spells them."""
    for name, hint in typing.get_type_hints(kind).items():
        word = name.replace("_", "-")
        if dataclasses.is_dataclass(hint):
            yield from _options(hint, f"{prefix}{word}.")
        else:
            yield f"--{prefix}{word}"
            if hint is bool:
                yield f"--{prefix}no-{word}"


def _recipe(kind: Any, words: list[str]) -> Any:
    """Return the settings of the recipe these words ask for, so that help shows its values as defaults."""
    from vitrail.recipes import find_recipe

    asked = _value(words, "--recipe") or "auto"
    told = {name: _value(words, f"--{name}") for name in ("weights", "objective", "task")}
    return find_recipe(kind, asked, **told)


def _value(words: list[str], option: str) -> str | None:
    """Return what follows an option, given as ``--option value`` or ``--option=value``."""
    for word, following in itertools.zip_longest(words, words[1:]):
        if word == option:
            return following
        if word.startswith(f"{option}="):
            return word.removeprefix(f"{option}=")
    return None


if __name__ == "__main__":
    sys.exit(main())
