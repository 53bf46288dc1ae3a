"""A value as a type hint asks for it: converted where nothing is lost, else refused in one sentence.

Used wherever a value comes from outside Python's own checks: from JSON, a checkpoint, or a caller's keyword.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import reprlib
import types
import typing
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, Literal

from vitrail.errors import ConfigError, nearest

LONGEST_WHOLE_NUMBER = 2**63
"""No count or size is larger; what is, would only fail later and in other words."""


def coerce(name: str, hint: Any, value: Any) -> Any:
    """Return a value in the type that a hint names.

    Converted is what loses nothing: ``224.0`` and ``"224"`` to 224, ``"1e-3"`` to 0.001, a list to a tuple, a path to
    a string, a dict to a dataclass. A number is never made of a bool, nor a bool of anything.

    Args:
        name: of the setting, for error messages.
        hint: a resolved type hint: plain types, ``Literal``, unions, tuples, dicts, dataclasses, ``Annotated``.
        value: what was given.

    Raises:
        ConfigError: the value is of another type, not one of the choices, or not finite.
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any or isinstance(hint, typing.TypeVar):
        return value
    if origin is typing.Annotated:
        return coerce(name, inner[0], value)
    if origin is Literal:
        return _choice(name, inner, value)
    if origin in (typing.Union, types.UnionType):
        return _member(name, inner, value)
    if origin is tuple:
        return _tuple(name, inner, value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _dataclass(name, hint, value)
    convert = CONVERSIONS.get(origin or hint)
    return value if convert is None else convert(name, value)


def coerce_options(kind: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options in the types that a dataclass gives its fields of these names; others stay as they are.

    Raises:
        ConfigError: as in `coerce`.
    """
    hints = typing.get_type_hints(kind)
    return {name: coerce(name, hints.get(name, Any), value) for name, value in options.items()}


RENAMED = {"crop_share": "crop_fraction", "picture_every": "draw_every"}
"""Settings by the names that they had in checkpoints and run folders written before."""


def from_json(kind: type, data: Any) -> Any:
    """Build a dataclass from what `vitrail.config.to_json` made of it; see `vitrail.config.from_json`."""
    if not isinstance(data, dict):
        raise ConfigError(f"{kind.__name__} must be an object of named settings, not {shortened(data)}")
    hints = typing.get_type_hints(kind)
    data = {name if name in hints else RENAMED.get(name, name): value for name, value in data.items()}
    for name in data:
        if name not in hints:
            raise ConfigError(f"{kind.__name__} has no setting {shortened(name)}{nearest(str(name), hints)}")
    missing = [f.name for f in dataclasses.fields(kind) if _is_required(f) and f.name not in data]  # type: ignore[arg-type]
    if missing:
        raise ConfigError(f"{kind.__name__} lacks the setting {missing[0]!r}")
    return kind(**coerce_options(kind, data))


def shortened(value: Any) -> str:
    """Write a value for an error message: never longer than a line, whatever it is."""
    try:
        return reprlib.repr(value)
    except ValueError:  # a number of thousands of digits
        return f"a {type(value).__name__}"


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _choice(name: str, choices: tuple[Any, ...], value: Any) -> Any:
    for choice in choices:
        if _is_choice(choice, value):
            return choice
    near = nearest(str(value)[:99], map(str, choices)) if isinstance(value, str) else ""
    raise ConfigError(f"{name} must be one of {', '.join(map(str, choices))}, not {shortened(value)}{near}")


def _is_choice(choice: Any, value: Any) -> bool:
    """Whether a value is a choice, or can be converted to it without loss (``"3"`` and ``3.0`` to 3)."""
    if type(choice) is int:
        try:
            return _whole("", value) == choice
        except ConfigError:
            return False
    plain = isinstance(value, (str, int, float, bool, type(None)))
    return plain and type(value) is type(choice) and value == choice


def _member(name: str, members: tuple[Any, ...], value: Any) -> Any:
    """Return a value as the member of a union that it is, else as the first that it can be converted to."""
    if value is None and type(None) in members:
        return None
    kinds = [member for member in members if member is not type(None)]
    if any(isinstance(kind, type) and type(value) is kind for kind in kinds):
        return value
    failures = []
    for kind in kinds:
        try:
            return coerce(name, kind, value)
        except ConfigError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    raise ConfigError(f"{name} must be {' or '.join(map(called, kinds))}, not {shortened(value)}")


def _tuple(name: str, inner: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{name} must be a list, not {shortened(value)}")
    if len(inner) == 2 and inner[1] is Ellipsis:
        return tuple(coerce(name, inner[0], item) for item in value)
    if len(inner) != len(value):
        raise ConfigError(f"{name} must be a list of {len(inner)}, not {shortened(value)}")
    return tuple(coerce(name, hint, item) for hint, item in zip(inner, value, strict=True))


def _dataclass(name: str, kind: type, value: Any) -> Any:
    if isinstance(value, kind):
        return value
    if not isinstance(value, dict):
        raise ConfigError(f"{name} must be an object of named settings, not {shortened(value)}")
    return from_json(kind, value)


def _whole(name: str, value: Any) -> int:
    number = None
    if isinstance(value, str):
        number = int(value) if len(value) < 20 and value.strip().lstrip("+-").isdecimal() else None
    elif isinstance(value, float):
        number = int(value) if value.is_integer() else None
    elif not isinstance(value, bool):
        try:
            number = operator.index(value)
        except TypeError:
            number = None
    if number is None or abs(number) >= LONGEST_WHOLE_NUMBER:
        raise ConfigError(f"{name} must be a whole number, not {shortened(value)}")
    return number


def _number(name: str, value: Any) -> float:
    number = None
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = None
    if number is None or math.isnan(number):
        raise ConfigError(f"{name} must be a number, not {shortened(value)}")
    return value if isinstance(value, int) else number


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be true or false, not {shortened(value)}")
    return value


def _text(name: str, value: Any) -> str:
    if isinstance(value, PurePath):
        return str(value)
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be text, not {shortened(value)}")
    return value


def _object(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{name} must be an object of named values, not {shortened(value)}")
    return value


CONVERSIONS: dict[Any, Any] = {int: _whole, float: _number, bool: _truth, str: _text, dict: _object}

WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def called(hint: Any) -> str:
    """Say in words what a type hint asks for."""
    if hint is type(None):
        return "None"
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return "a list" if Ellipsis in inner else f"a list of {len(inner)}"
    if typing.get_origin(hint) is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return " or ".join(map(called, inner))
    return WORDS.get(hint, getattr(hint, "__name__", str(hint)))
