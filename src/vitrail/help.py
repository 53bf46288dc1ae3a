"""The help of a command: first what most people set, and all of it where that is asked for."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import shutil
import textwrap
from pathlib import Path
from typing import Any

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
    if everything:
        _show_all(command, kind, base)
    else:
        print(short_help(command, kind, base))


def _show_all(command: str, kind: type, base: Any) -> None:
    import tyro

    default = {} if base is None else {"default": base}
    tyro.cli(kind, args=["--help"], prog=f"vitrail {command}", description=(kind.__doc__ or "").strip(), **default)


def short_help(command: str, kind: Any, base: Any) -> str:
    """Return what most people set of a command that learns: each option with its default and what it means."""
    positional, *options = kind.FIRST
    lines = [f"usage: vitrail {command} {positional.upper()} [options]", "", (kind.__doc__ or "").strip(), ""]
    lines += _entry(positional.upper(), "", _doc(kind, positional))
    for name in options:
        lines += _entry(f"--{name.replace('_', '-')}", _default(kind, base, name), _doc(kind, name))
    lines += ["", f"  every option, with what each can be: vitrail {command} ... --help-all"]
    return "\n".join(lines)


def help_of_tasks(command: str, shared: Any, owned: dict[str, Any]) -> str:
    """Return what a command that asks a trained model can be told: of every model, and of those of each task.

    Args:
        command: its name.
        shared: the class of what it can be told of every model.
        owned: the classes of the tasks, by what a model of it is called.
    """
    needed = [field.name for field in dataclasses.fields(shared) if field.default is dataclasses.MISSING]
    common = [name for name in names_of(shared) if name not in needed]
    what = (shared.__doc__ or "").partition(";")[0].strip()
    lines = [f"usage: vitrail {command} {' '.join(name.upper() for name in needed)} [options]", "", f"{what}.", ""]
    lines += [line for name in needed for line in _entry(name.upper(), "", _doc(shared, name))]
    lines += [line for name in common for line in _option(shared, name)]
    for noun, kind in owned.items():
        own = [name for name in names_of(kind) if name not in needed and (name not in common or name in _docs(kind))]
        lines += ["", f"of {noun}:", *(line for name in own for line in _option(kind, name))]
    return "\n".join([*lines, "", f"  what one model can be told: vitrail {command} {needed[0].upper()} --help"])


def _option(kind: type, name: str) -> list[str]:
    """Write an option of a class with its default there."""
    owner, leaf = kind, name
    while "." in leaf:
        head, _, leaf = leaf.partition(".")
        owner = hints_of(owner)[head]
    default = next(field.default for field in dataclasses.fields(owner) if field.name == leaf)  # type: ignore[arg-type]
    shown = "" if default is None else f"{default:.3g}" if isinstance(default, float) else str(default)
    return _entry(f"--{name.replace('_', '-')}", shown, _doc(kind, name))


def _entry(name: str, default: str, doc: str) -> list[str]:
    """Write an option: its name and default in a column, what it means beside them."""
    width = min(WIDEST, shutil.get_terminal_size().columns)
    shown = f"  {name} {default}".rstrip()
    text = textwrap.wrap(doc, max(30, width - 34))
    if len(shown) > 32:
        return [shown, *(f"{'':<34}{line}" for line in text)]
    return [f"{shown:<34}{text[0] if text else ''}", *(f"{'':<34}{line}" for line in text[1:])]


def _default(kind: type, base: Any, name: str) -> str:
    """Write what a setting is where nothing is said; nothing where that depends on the data or the model."""
    value = base
    for part in name.split("."):
        value = getattr(value, part)
    return "" if value is None else str(value)


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


__all__ = ["help_of_tasks", "short_help", "show_help"]
