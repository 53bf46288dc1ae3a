"""The command line: ``vitrail VERB ...``. Torch is imported only once a verb runs, so that help answers at once."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vitrail.console import never_fail, printable
from vitrail.defence import open_closed_streams, sentence, silence
from vitrail.errors import Interrupted, VitrailError, nearest
from vitrail.synonyms import verb_meant


@dataclass(frozen=True)
class Verb:
    """A verb of the command line: its settings in `vitrail.settings`, and the module that does its work."""

    settings: str
    module: str
    help: str


VERBS: dict[str, Verb] = {
    "tour": Verb("TourSettings", "commands.tour", "the whole line in minutes: pretrain, fine-tune, compare, look"),
    "pretrain": Verb("PretrainSettings", "commands.pretrain", "pretrain an encoder on images without labels"),
    "train": Verb("TrainSettings", "commands.train", "train a classifier, detector or segmenter, from weights or none"),
    "evaluate": Verb("EvaluateSettings", "commands.evaluate", "measure a trained model on labelled images"),
    "probe": Verb("ProbeSettings", "commands.probe", "measure an encoder: neighbours, linear probe, last blocks"),
    "plan": Verb("PlanSettings", "commands.plan", "say how to train on this machine in the hours there are"),
    "predict": Verb("PredictSettings", "commands.predict", "say what is in images"),
    "embed": Verb("EmbedSettings", "commands.embed", "describe images by vectors, and find the ones most like one"),
    "look": Verb("LookSettings", "commands.look", "draw what a model sees"),
    "stress": Verb("StressSettings", "commands.stress", "measure classifiers on occluded, shuffled, corrupted images"),
    "trust": Verb("TrustSettings", "commands.trust", "gather on one page what to know before signing for a model"),
    "paper": Verb("PaperSettings", "papers.catalogue", "run a table of the papers, at any scale"),
    "weights": Verb("WeightsSettings", "commands.weights", "inspect, convert, verify or push a weights file"),
    "models": Verb("ModelsSettings", "commands.models", "list models with cost and published accuracy, or recipes"),
    "doctor": Verb("DoctorSettings", "commands.doctor", "say what is installed, and check a data set"),
}

IN_PROCESSES = ("pretrain", "train", "evaluate")
"""What several processes started by torchrun do together; each would do the whole of any other, to the same files."""


# How often an idle thread of torch's looks for work before it sleeps. The C library's default keeps whole cores busy
# with waiting: next to another program, training became 30 times slower; this costs nothing alone (docs/log.md).
THREAD_PATIENCE = "1000"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code.

    0: done; 1: the doctor found something wrong; 2: a mistake to mend; 130 or 143: interrupted and saved.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", THREAD_PATIENCE)
    open_closed_streams()
    never_fail(sys.stdout, sys.stderr)
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(words)
        sys.stdout.flush()
        return code
    except VitrailError as error:
        _complain(error)
        return 2
    except Interrupted as stop:
        _complain(stop)
        return stop.exit_code
    except KeyboardInterrupt:
        _complain("interrupted; nothing was being written")
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone; flushing again at exit would complain once more.
        silence(1)
        return 0
    except Exception as error:
        said = sentence(error)
        if said is None:
            raise  # a fault of the code, which a traceback helps to find
        _complain(said)
        return 2


def _complain(error: object) -> None:
    """Say on standard error what is wrong; names in it cannot act on the terminal."""
    try:
        print(f"vitrail: {printable(error)}", file=sys.stderr)
        sys.stdout.flush()
    except OSError:
        # A full or closed standard output; the exit code says the rest.
        silence(1)


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
        raise VitrailError(f"there is no verb {name!r}{_verb_hint(name)}")
    if name not in IN_PROCESSES and int(os.environ.get("WORLD_SIZE") or 1) > 1:
        together = ", ".join(IN_PROCESSES)
        raise VitrailError(f"vitrail {name} runs in one process; start it without torchrun ({together} run in several)")
    settings = parse(name, rest)
    if getattr(settings, "data", None) == "" and name != "doctor":
        raise VitrailError(f'vitrail {name} needs images: a folder, a CSV, or "digits" (embedded)')
    result = importlib.import_module(f"vitrail.{VERBS[name].module}").run(settings)
    return result if isinstance(result, int) else 0


def _verb_hint(name: str) -> str:
    """Say which verb is meant: by what it is called elsewhere, or by its letters."""
    known = verb_meant(name, VERBS)
    return f"; did you mean {known!r}?" if known else nearest(name, VERBS) or "; see: vitrail --help"


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
    import vitrail.arguments
    import vitrail.settings

    return vitrail.arguments.parse(name, getattr(vitrail.settings, VERBS[name].settings), words)


if __name__ == "__main__":
    sys.exit(main())
