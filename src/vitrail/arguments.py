"""Words of a command line to settings: each option is known and each value fits before anything else is looked at.

tyro builds the settings and the help; what it would answer with a page is answered here with a sentence.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vitrail.coerce import called as takes
from vitrail.coerce import coerce
from vitrail.config import check, hints_of, names_of
from vitrail.errors import ConfigError, VitrailError, WeightsError, nearest
from vitrail.help import help_of_tasks, positionals, show_help
from vitrail.meaning import check_meant
from vitrail.ranges import check_range
from vitrail.synonyms import by_meaning
from vitrail.tasks.asked import owner_of
from vitrail.tasks.recipes import VERBS, find_recipe, spec_asked
from vitrail.tasks.registry import TASKS, find_spec
from vitrail.tasks.spec import Spec

HELP = ("-h", "--help")
HELP_ALL = "--help-all"

TRUTHS = ("true", "false", "yes", "no", "on", "off", "1", "0")
"""Words after a switch that are meant as its value, not as data."""


@dataclass(frozen=True)
class Option:
    """An option of a command line.

    Attributes:
        kind: the settings class it belongs to.
        name: the setting's name in it.
        type: the setting's type.
        switch: it takes no value: it is there or not.
    """

    kind: type
    name: str
    type: Any
    switch: bool = False

    @property
    def most(self) -> int | None:
        """The largest number of values it takes; None: any."""
        return 0 if self.switch else _most_values(self.type)

    def check(self, values: list[str], called: str) -> list[str]:
        """Check what was given, and return it as it is read (``64.0`` as 64, where a whole number is wanted).

        Raises:
            ConfigError: too few values, or one that has another type or is out of range.
        """
        if not values and self.most is not None:
            raise ConfigError(f"{called} needs a value: {takes(self.type)}")
        if values == ["None"] and type(None) in typing.get_args(self.type):
            return values
        several = self.most != 1 and not (len(values) == 1 and _takes_one(self.type))
        read = [_meaning(self.type, value) for value in values]
        value = coerce(called, self.type, read if several else read[0])
        check_range(self.kind, self.name, value, called)
        return [str(one) for one in (value if isinstance(value, tuple) else (value,))]


@dataclass(frozen=True)
class Given:
    """The words after a command, read once: words without an option, and the options with their values, in order."""

    plain: tuple[str, ...]
    options: tuple[tuple[str, list[str]], ...]

    def value(self, option: str) -> str | None:
        """Return the value of an option; the last one counts."""
        return next((values[0] for name, values in reversed(self.options) if name == option and values), None)

    def asks_for(self, *options: str) -> bool:
        """Whether one of some options is there."""
        return any(name in options for name, _ in self.options)


def parse(command: str, kind: type, words: list[str]) -> Any:
    """Turn the words after a command into its settings; what is not given comes from the command's recipe.

    Of a command that learns, the settings are those of the task that the words name, and no other task's; of one that
    asks a trained model, those of the task that the model was trained for.

    Raises:
        VitrailError: an option is not known, a value does not fit, a word is missing or too many, or there is no such
            model.
    """
    owned = {spec.noun: own for spec in TASKS.values() if (own := spec.settings_for(kind))}
    every = tuple(owned.values()) or (kind,)
    given = _read(words, _options_of_all(every))
    spec = _spec(kind, given) if owned else None
    own = (spec.settings_for(kind) or kind) if spec else kind
    base = _recipe(kind, spec, given) if spec and kind in VERBS else None
    if given.asks_for(*HELP, HELP_ALL):
        if owned and spec is None:
            print(help_of_tasks(command, kind, owned))
        else:
            show_help(command, own, base, everything=given.asks_for(HELP_ALL) or kind not in VERBS)
        raise SystemExit(0)
    checked = _checked(Asked(command, kind, spec, (own,) if spec else every), given)
    if owned and spec is None:
        _task_of_model(given)  # The words are right, and this says why there is no model.
    settings = _built(command, own, base, checked)
    check(settings, called=lambda name: option_named(name))
    check_meant(settings, base, option_named)
    return settings


@dataclass(frozen=True)
class Asked:
    """What words are read as.

    Attributes:
        command: its name.
        shared: the class of what the command takes of every task.
        spec: the task; None where none decides, or it is not known.
        kinds: the classes whose options are known: the task's, or those of all tasks.
    """

    command: str
    shared: type
    spec: Spec | None
    kinds: tuple[type, ...]

    @property
    def options(self) -> dict[str, Option]:
        """The options that are known, by how the command line spells them."""
        return _options_of_all(self.kinds)

    @property
    def names(self) -> list[str]:
        """The dotted names of their settings."""
        return list(dict.fromkeys(name for kind in self.kinds for name in names_of(kind)))


def _options_of_all(kinds: tuple[type, ...]) -> dict[str, Option]:
    return {name: option for kind in kinds for name, option in options_of(kind).items()}


def _built(command: str, kind: type, base: Any, words: list[str]) -> Any:
    import tyro

    default = {} if base is None else {"default": base}
    description = (kind.__doc__ or "").strip()
    return tyro.cli(kind, args=words, prog=f"vitrail {command}", description=description, **default)


def _spec(kind: type, given: Given) -> Spec | None:
    """Return the task that the words ask for, or that their model was trained for; None where there is no model."""
    if kind in VERBS:
        choice = "--task" if VERBS[kind] == "train" else "--objective"
        return spec_asked(VERBS[kind], given.value(choice), given.value("--recipe") or "auto")
    from vitrail.weights.named import is_on_hub

    if not given.plain or (given.asks_for(*HELP, HELP_ALL) and is_on_hub(given.plain[0])):
        return None  # Help fetches nothing.
    try:
        return find_spec(_task_of_model(given))
    except WeightsError:
        return None


def _task_of_model(given: Given) -> str:
    from vitrail.weights.open_any import task_named

    return task_named(given.plain[0], accept_license=given.asks_for("--accept-license"))


def _recipe(kind: type, spec: Spec, given: Given) -> Any:
    """Return the settings of the recipe that the words ask for, so that help shows its values as defaults."""
    name, weights = given.value("--recipe") or "auto", given.value("--weights")
    return find_recipe(kind, name, weights, task=spec.name)


def option_named(name: str, value: str = "") -> str:
    """Return a setting's dotted name as the command line spells it, with a value if there is one."""
    return f"--{name.replace('_', '-')}{' ' if value else ''}{value}"


@functools.cache
def options_of(kind: type, prefix: str = "") -> dict[str, Option]:
    """Return the options of a settings class by how the command line spells them."""
    found: dict[str, Option] = {}
    for name, hint in hints_of(kind).items():
        word = f"{prefix}{name}"
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            found |= options_of(hint, f"{word}.")
        elif hint is bool:
            negated = f"{prefix}no_{name}"
            found |= {option_named(spelt): Option(kind, name, hint, switch=True) for spelt in (word, negated)}
        elif name not in positionals(kind):
            found[option_named(word)] = Option(kind, name, hint)
    return found


def _read(words: list[str], known: dict[str, Option]) -> Given:
    """Read the words after a command by what the options of all its tasks take."""
    plain: list[str] = []
    options = []
    for option, values in _grouped(known, words):
        plain += values
        options += [] if option is None else [option]
    return Given(tuple(plain), tuple(options))


def _checked(asked: Asked, given: Given) -> list[str]:
    """Return the words, each checked and as it is read; those without an option first, wherever they stood."""
    known, command, kind = asked.options, asked.command, asked.kinds[0]
    checked = []
    for name, values in given.options:
        if name not in known:
            raise VitrailError(f"vitrail {command} has no option {name!r}{_hint(asked, name)}")
        if known[name].switch:
            checked += _switched(known, name, values)
        else:
            checked += [name, *_fitting(asked, name, values)]
    _check_count(command, kind, given.plain)
    missing = list(_required(kind))[len(given.plain) :]
    if missing:
        raise VitrailError(f"vitrail {command} needs {' and '.join(missing)}; see: vitrail {command} --help")
    return [*given.plain, *checked]


def _fitting(asked: Asked, name: str, values: list[str]) -> list[str]:
    """Return an option's values as they are read, if they fit one of the tasks that it may be for.

    Raises:
        ConfigError: they fit none.
    """
    refused: ConfigError | None = None
    for option in (options_of(kind)[name] for kind in asked.kinds if name in options_of(kind)):
        try:
            return option.check(values, name)
        except ConfigError as error:
            refused = refused or error
    assert refused is not None
    raise refused


def _switched(known: dict[str, Option], name: str, given: list[str]) -> list[str]:
    """Return a switch as it is to be set: alone, or followed by true or false, it says the same."""
    heading, _, leaf = name.removeprefix("--").rpartition(".")
    other = leaf.removeprefix("no-") if leaf.startswith("no-") else f"no-{leaf}"
    opposite = f"--{heading}{'.' if heading else ''}{other}"
    if given and given[0].lower() not in ("true", "false"):
        raise ConfigError(f"{name} takes no value, not {given[0]!r}: give it alone, or {opposite}")
    return [opposite if given and given[0].lower() == "false" else name]


def _grouped(known: dict[str, Option], words: list[str]) -> Iterator[tuple[tuple[str, list[str]] | None, list[str]]]:
    """Give each option with its values, and words that belong to none."""
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not _is_option(word):
            yield None, [word]
            continue
        name, equals, value = word.partition("=")
        most = known[name].most if name in known else 0
        values = [value] if equals else []
        while rest and not equals and not _is_option(rest[0]) and (most is None or len(values) < most):
            values.append(rest.pop(0))
        if name in known and known[name].switch and rest and rest[0].lower() in TRUTHS:
            values.append(rest.pop(0))
        yield (name, values), []


def _is_option(word: str) -> bool:
    """Whether a word is an option and no negative number."""
    if not word.startswith("-") or word == "-":
        return False
    try:
        float(word)
    except ValueError:
        return True
    return False


def _check_count(command: str, kind: type, words: tuple[str, ...]) -> None:
    """Refuse one word more than a command takes."""
    hints = positionals(kind)
    if any(_most_values(hint) is None for hint in hints.values()) or len(words) <= len(hints):
        return
    wanted = " and ".join(name.upper() for name in hints) or "no word without an option"
    raise VitrailError(
        f"vitrail {command} takes {wanted}, and {words[len(hints)]!r} is one word too many; "
        f"see: vitrail {command} --help"
    )


def _required(kind: type) -> Iterator[str]:
    """Name the words that a command cannot do without; those of a recipe are asked for where data is opened."""
    for field in dataclasses.fields(kind):
        needed = field.default is field.default_factory is dataclasses.MISSING
        if field.name in positionals(kind) and needed and not issubclass(kind, tuple(VERBS)):
            yield field.name.upper()


def _hint(asked: Asked, option: str) -> str:
    """Say which option is meant: one of another task, by what it is called elsewhere, or by its letters."""
    spec, command = asked.spec, asked.command
    if spec and (owner := owner_of(_setting_named(option), spec, asked.shared)):
        return f" for {spec.option if asked.shared in VERBS else spec.noun}; it belongs to {owner}"
    advice = by_meaning(option, asked.names, lambda name, value: repr(option_named(name, value)))
    if advice:
        return f"; {advice}"
    if by_meaning(option, ["out"]):
        return f"; vitrail {command} prints its answer and writes no file"
    if not option.startswith("--"):
        return f"; a file of that name is ./{option}"
    return nearest(option, [*asked.options, "--help", HELP_ALL]) or f"; see: vitrail {command} --help"


def _setting_named(option: str) -> str:
    """Return the dotted name of the setting that an option stands for, a switch's also where it is switched off."""
    heading, dot, leaf = option.removeprefix("--").replace("-", "_").rpartition(".")
    return f"{heading}{dot}{leaf.removeprefix('no_')}"


def _most_values(hint: Any) -> int | None:
    """Return how many words a type takes at most; None: any number."""
    options = typing.get_args(hint)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        counts = [_most_values(option) for option in options if option is not type(None)]
        return None if None in counts else max(count for count in counts if count is not None)
    if typing.get_origin(hint) is tuple:
        return None if options[-1] is Ellipsis else len(options)
    return 1


def _meaning(hint: Any, word: str) -> Any:
    """Return a word as what it may mean where text alone would not be taken: truth, a whole number, a choice of one."""
    kinds = [hint, *typing.get_args(hint)]
    if bool in kinds and word.lower() in ("true", "false"):
        return word.lower() == "true"
    if any(isinstance(choice, int) for choice in kinds) and word.lstrip("+-").isdecimal():
        return int(word)
    if int in kinds and float not in kinds:
        try:
            return float(word) if float(word).is_integer() and not word.isdecimal() else word
        except ValueError:
            return word
    return word


def _takes_one(hint: Any) -> bool:
    """Whether a single word can be a value of a type that may also take several."""
    options = typing.get_args(hint)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return any(_takes_one(option) for option in options if option is not type(None))
    return typing.get_origin(hint) is not tuple


__all__ = ["Option", "option_named", "options_of", "parse"]
