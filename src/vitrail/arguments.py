"""Words of a command line to settings: each option is known and each value fits before anything else is looked at.

tyro builds the settings and the help; what it would answer with a page is answered here with a sentence.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vitrail.coerce import called as takes
from vitrail.coerce import coerce
from vitrail.config import check, names_of
from vitrail.errors import ConfigError, VitrailError, nearest
from vitrail.meaning import check_meant
from vitrail.ranges import check_range
from vitrail.settings import PretrainSettings, TrainSettings
from vitrail.synonyms import by_meaning

HELP = ("-h", "--help")


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
        read = [_read(self.type, value) for value in values]
        value = coerce(called, self.type, read if several else read[0])
        check_range(self.kind.__name__, self.name, value, called)
        return [str(one) for one in (value if isinstance(value, tuple) else (value,))]


def parse(command: str, kind: type, words: list[str]) -> Any:
    """Turn the words after a command into its settings; what is not given comes from the command's recipe.

    Raises:
        VitrailError: an option is not known, a value does not fit, or a word is missing or too many.
    """
    known = options_of(kind)
    if not any(word in HELP for word in words):
        words = _checked(command, kind, known, words)
    import tyro

    default = {"default": _recipe(kind, words)} if kind in (TrainSettings, PretrainSettings) else {}
    description = (kind.__doc__ or "").strip()
    settings = tyro.cli(kind, args=words, prog=f"vitrail {command}", description=description, **default)
    check(settings, called=lambda name: option_named(name))
    check_meant(settings, default.get("default"), option_named)
    return settings


def option_named(name: str, value: str = "") -> str:
    """Return a setting's dotted name as the command line spells it, with a value if there is one."""
    return f"--{name.replace('_', '-')}{' ' if value else ''}{value}"


@functools.cache
def options_of(kind: type, prefix: str = "") -> dict[str, Option]:
    """Return the options of a settings class by how the command line spells them."""
    found: dict[str, Option] = {}
    for name, hint in typing.get_type_hints(kind).items():
        word = f"{prefix}{name}"
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            found |= options_of(hint, f"{word}.")
        elif hint is bool:
            negated = f"{prefix}no_{name}"
            found |= {option_named(spelt): Option(kind, name, hint, switch=True) for spelt in (word, negated)}
        elif name not in positionals(kind):
            found[option_named(word)] = Option(kind, name, hint)
    return found


@functools.cache
def positionals(kind: type) -> dict[str, Any]:
    """Return the settings that are given without an option, and their types, in their order."""
    import tyro

    marked = typing.get_type_hints(kind, include_extras=True)
    marker = typing.get_args(tyro.conf.Positional[int])[1]
    return {
        name: typing.get_args(hint)[0]
        for name, hint in marked.items()
        if typing.get_origin(hint) is typing.Annotated and marker in typing.get_args(hint)[1:]
    }


def _checked(command: str, kind: type, known: dict[str, Option], words: list[str]) -> list[str]:
    """Return the words, each checked and as it is read; those without an option first, wherever they stood."""
    plain, checked = [], []
    for option, values in _grouped(known, words):
        if option is None:
            plain += values
            _check_count(command, kind, plain)
            continue
        name, given = option
        if name not in known:
            raise VitrailError(f"vitrail {command} has no option {name!r}{_hint(command, kind, known, name)}")
        checked += _switched(known, name, given) if known[name].switch else [name, *known[name].check(given, name)]
    missing = list(_required(kind))[len(plain) :]
    if missing:
        raise VitrailError(f"vitrail {command} needs {' and '.join(missing)}; see: vitrail {command} --help")
    return plain + checked


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
        if name in known and known[name].switch and rest and rest[0].lower() in ("true", "false"):
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


def _check_count(command: str, kind: type, words: list[str]) -> None:
    """Refuse one word more than a command takes."""
    hints = positionals(kind)
    if any(_most_values(hint) is None for hint in hints.values()) or len(words) <= len(hints):
        return
    wanted = " and ".join(name.upper() for name in hints) or "no word without an option"
    raise VitrailError(
        f"vitrail {command} takes {wanted}, and {words[-1]!r} is one word too many; see: vitrail {command} --help"
    )


def _required(kind: type) -> Iterator[str]:
    """Name the words that a command cannot do without; those of a recipe are asked for where data is opened."""
    for field in dataclasses.fields(kind):
        needed = field.default is field.default_factory is dataclasses.MISSING
        if field.name in positionals(kind) and needed and kind not in (TrainSettings, PretrainSettings):
            yield field.name.upper()


def _hint(command: str, kind: type, known: dict[str, Option], option: str) -> str:
    """Say which option is meant: by what it is called elsewhere, or by its letters."""
    advice = by_meaning(option, list(names_of(kind)), lambda name, value: repr(option_named(name, value)))
    if advice:
        return f"; {advice}"
    if not option.startswith("--"):
        return f"; a file of that name is ./{option}"
    return nearest(option, [*known, "--help"]) or f"; see: vitrail {command} --help"


def _most_values(hint: Any) -> int | None:
    """Return how many words a type takes at most; None: any number."""
    options = typing.get_args(hint)
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        counts = [_most_values(option) for option in options if option is not type(None)]
        return None if None in counts else max(count for count in counts if count is not None)
    if typing.get_origin(hint) is tuple:
        return None if options[-1] is Ellipsis else len(options)
    return 1


def _read(hint: Any, word: str) -> Any:
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


def _recipe(kind: type, words: list[str]) -> Any:
    """Return the settings of the recipe these words ask for, so that help shows its values as defaults."""
    from vitrail.tasks.recipes import find_recipe

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


__all__ = ["Option", "option_named", "options_of", "parse", "positionals"]
