"""The help of a command: first what most people set, and all of it where that is asked for."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import shutil
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from vitrail.config import hints_of, names_of

WIDEST = 120
"""Letters in a line of help at most."""


def show_help(command: str, kind: type, base: Any, *, everything: bool) -> None:
    """Print the help of a command.

    Args:
        command: its name.
        kind: the class of its settings; ``FIRST`` of it names what most people set.
        base: a recipe whose values are the defaults; None for the class's own.
        everything: show every option.
    """
    print(full_help(command, kind, base) if everything else short_help(command, kind, base))


def full_help(command: str, kind: Any, base: Any) -> str:
    """Return every option of a command, group by group, each with its values, its default and what it means."""
    words = positionals(kind)
    shown = [name.upper() if _value(kind, None, name) is None else f"[{name.upper()}]" for name in words]
    lines = [" ".join(["usage: vitrail", command, *shown, "[options]"]), "", (kind.__doc__ or "").strip()]
    lines += ["", *(line for name in words for line in _entry(name.upper(), "", _doc(kind, name)))] if words else []
    for title, names in _groups(kind):
        entries = [line for name in names if name not in words for line in _full_entry(kind, base, name)]
        lines += ["", f"{title}:", *entries] if entries else []
    return "\n".join(lines)


def _groups(kind: type, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Give the groups of a class's settings by their dotted names, those of the classes in it after its own.

    A class whose ``OWNERS`` says which of its settings each family of models has, is taken apart by that; ``OTHERS``
    says whose the settings are that no family has.
    """
    hints = hints_of(kind)
    nested = {name: hint for name, hint in hints.items() if isinstance(hint, type) and dataclasses.is_dataclass(hint)}
    owners: dict[str, tuple[str, ...]] = getattr(kind, "OWNERS", {})
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in hints:
        if name not in nested:
            those = tuple(owner for owner, names in owners.items() if name in names)
            groups.setdefault(those, []).append(f"{prefix}{name}")
    title = prefix.rstrip(".") or "options"
    for those, names in sorted(groups.items(), key=lambda group: -len(group[0])):
        whose = "every family" if those and len(those) == len(owners) else ", ".join(those)
        whose = whose or getattr(kind, "OTHERS", "")
        yield (f"{title} of {whose}" if whose else title), names
    for name, hint in nested.items():
        yield from _groups(hint, f"{prefix}{name}.")


def _full_entry(kind: type, base: Any, name: str) -> list[str]:
    value, hint = _value(kind, base, name), _hint_of(kind, name)
    option = f"--{name.replace('_', '-')}"
    if hint is bool:
        heading, _, leaf = name.replace("_", "-").rpartition(".")
        option += f", --{heading}{'.' if heading else ''}no-{leaf}"
    shown = "" if value is None else f" [{_written(value)}]"
    return _entry(f"{option}{_metavar(hint)}", "", f"{_doc(kind, name)}{shown}".strip())


def _written(value: Any) -> str:
    """Write a default as it would be given."""
    if isinstance(value, tuple):
        return " ".join(map(_written, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _metavar(hint: Any) -> str:
    """Say what follows an option: its choices, or the kind of its values."""
    parts = [part for part in typing.get_args(hint) if part is not type(None)]
    if parts == [bool]:
        return " {true,false}"
    if typing.get_origin(hint) is Literal:
        return f" {{{','.join(map(str, parts))}}}"
    if typing.get_origin(hint) is tuple:
        return f"{_metavar(parts[0])} ..." if Ellipsis in parts else "".join(map(_metavar, parts))
    if parts:
        return " |".join(map(_metavar, parts))
    return {int: " INT", float: " NUMBER", bool: "", str: " TEXT"}.get(hint, "")


def _hint_of(kind: type, name: str) -> Any:
    head, _, rest = name.partition(".")
    return _hint_of(hints_of(kind)[head], rest) if rest else hints_of(kind)[head]


def _value(kind: type, base: Any, name: str) -> Any:
    """Return what a setting is where nothing is said: of a recipe, else by the class; None where it has to be said."""
    head, _, rest = name.partition(".")
    if rest:
        return _value(hints_of(kind)[head], None if base is None else getattr(base, head), rest)
    if base is not None:
        return getattr(base, head)
    default = next(field.default for field in dataclasses.fields(kind) if field.name == head)  # type: ignore[arg-type]
    return None if default is dataclasses.MISSING else default


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


def short_help(command: str, kind: Any, base: Any) -> str:
    """Return what most people set of a command that learns: each option with its default and what it means."""
    positional, *options = kind.FIRST
    lines = [f"usage: vitrail {command} {positional.upper()} [options]", "", (kind.__doc__ or "").strip(), ""]
    lines += _entry(positional.upper(), "", _doc(kind, positional))
    for name in options:
        value = _value(kind, base, name)
        shown = "" if value is None else _written(value)
        lines += _entry(f"--{name.replace('_', '-')}", shown, _doc(kind, name))
    lines += ["", f"  every option, with what each can be: vitrail {command} ... --help-all"]
    return "\n".join(lines)


def help_of_tasks(command: str, shared: Any, owned: dict[str, Any]) -> str:
    """Return the options of a command that asks a trained model: those of every model, and of each task's.

    Args:
        command: its name.
        shared: the class of the options of every model.
        owned: the classes of the tasks, by what a model of it is called.
    """
    needed = [field.name for field in dataclasses.fields(shared) if field.default is dataclasses.MISSING]
    common = [name for name in names_of(shared) if name not in needed]
    what = (shared.__doc__ or "").partition(";")[0].strip()
    lines = [f"usage: vitrail {command} {' '.join(name.upper() for name in needed)} [options]", "", f"{what}.", ""]
    lines += [line for name in needed for line in _entry(name.upper(), "", _doc(shared, name))]
    lines += [line for name in common for line in _full_entry(shared, None, name)]
    for noun, kind in owned.items():
        own = [name for name in names_of(kind) if name not in needed and (name not in common or name in _docs(kind))]
        lines += ["", f"of {noun}:", *(line for name in own for line in _full_entry(kind, None, name))]
    return "\n".join([*lines, "", f"  the options of one model: vitrail {command} {needed[0].upper()} --help"])


def _entry(name: str, default: str, doc: str) -> list[str]:
    """Write an option: its name and default in a column, what it means beside them."""
    width = min(WIDEST, shutil.get_terminal_size().columns)
    shown = f"  {name} {default}".rstrip()
    text = textwrap.wrap(doc, max(30, width - 34))
    if len(shown) > 32:
        return [shown, *(f"{'':<34}{line}" for line in text)]
    return [f"{shown:<34}{text[0] if text else ''}", *(f"{'':<34}{line}" for line in text[1:])]


def _doc(kind: type, name: str) -> str:
    """Return what stands below a setting in its class."""
    head, _, rest = name.partition(".")
    if rest:
        return _doc(hints_of(kind)[head], rest)
    found = next((docs[head] for cls in kind.__mro__ if head in (docs := _docs(cls))), "")
    return " ".join(found.split())


@functools.cache
def _docs(kind: type) -> dict[str, str]:
    """Return the texts below the fields of one class, not of those it is made from."""
    if not dataclasses.is_dataclass(kind):
        return {}
    tree = ast.parse(Path(inspect.getfile(kind)).read_text())
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__)
    found = {}
    for field, below in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[ast.unparse(field.target)] = str(below.value.value)
    return found


__all__ = ["full_help", "help_of_tasks", "positionals", "short_help", "show_help"]
