"""The shape of the code, counted: a reader has little to keep in mind at once, and a model is asked, not sorted."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import vitrail

ROOT = Path(vitrail.__file__).parent
MODULES = {str(path.relative_to(ROOT)): ast.parse(path.read_text()) for path in sorted(ROOT.rglob("*.py"))}
MOST_LINES = 400
MOST_PARAMETERS = 8
REASON = "lines"
"""A longer module says in its docstring why it has so many lines."""

# What is still to be mended, by module: these numbers may only fall.
SORTED: dict[str, int] = {}
FELT: dict[str, int] = {}
UNTYPED: dict[str, int] = {}

# torch registers operators by flat signatures: the backward pass of attention takes a gradient, four inputs, two
# results, the number of heads and a switch, and so does what says the shapes of the gradients it returns.
WIDE = {"layers/attention_cpu.py": 2}


def model_classes() -> set[str]:
    """Return the names of the modules of torch that `vitrail.models` and `vitrail.heads` define."""
    names = set()
    for path in (*(ROOT / "models").glob("[!_]*.py"), *(ROOT / "heads").glob("[!_]*.py")):
        module = importlib.import_module(f"vitrail.{path.parent.name}.{path.stem}")
        own = inspect.getmembers(module, lambda value: inspect.isclass(value) and issubclass(value, nn.Module))
        names |= {name for name, value in own if value.__module__ == module.__name__}
    return names


def outside_models(builtin: str) -> Iterator[tuple[str, ast.Call]]:
    """Give every call of a builtin outside `vitrail.models`, with the module in which it stands."""
    for module in (name for name in MODULES if not name.startswith("models/")):
        for node in ast.walk(MODULES[module]):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == builtin:
                yield module, node


def names_in(node: ast.AST) -> set[str]:
    """Return the names that an expression uses, attributes included."""
    found = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return found | {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}


def where(found: Iterable[tuple[Any, ...]]) -> Counter[str]:
    """Count findings by module."""
    return Counter(one[0] for one in found)


def check(found: Counter[str], known: dict[str, int]) -> None:
    """Refuse findings beyond those that are known, of which there may only ever be fewer."""
    beyond = {module: count for module, count in found.items() if count > known.get(module, 0)}
    assert not beyond


def test_no_module_outside_models_asks_for_a_models_class() -> None:
    classes = model_classes()
    assert {"ViT", "Swin", "ResNet", "MAE", "ImageClassifier", "Detr", "Segmenter"} <= classes
    check(where(call for call in outside_models("isinstance") if names_in(call[1].args[1]) & classes), SORTED)


def test_no_module_outside_models_asks_what_a_model_has() -> None:
    asked = outside_models("hasattr")
    check(where(call for call in asked if any("backbone" in n or "model" in n for n in names_in(call[1]))), FELT)


def test_every_backbone_is_typed() -> None:
    check(where(one for one in annotations() if ast.unparse(one[2]) == "Any"), UNTYPED)


def annotations() -> Iterator[tuple[str, ast.AST, ast.expr]]:
    """Give what is said of the type of every argument, attribute and result whose name is that of a backbone."""
    for module, tree in MODULES.items():
        for node in ast.walk(tree):
            name, annotation = "", None
            if isinstance(node, ast.arg):
                name, annotation = node.arg, node.annotation
            elif isinstance(node, ast.AnnAssign):
                name, annotation = ast.unparse(node.target), node.annotation
            elif isinstance(node, ast.FunctionDef):
                name, annotation = node.name, node.returns
            if annotation is not None and ("backbone" in name or name in ("encoder", "vit", "swin")):
                yield module, node, annotation


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Give every function, with the module in which it stands."""
    for module, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield module, node


def width_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many parameters a function has, without self or cls."""
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return len([name for name in names if name not in ("self", "cls")])


def test_no_function_has_more_parameters_than_can_be_kept_in_mind() -> None:
    check(where(one for one in functions() if width_of(one[1]) > MOST_PARAMETERS), WIDE)


@pytest.mark.parametrize("module", MODULES)
def test_a_long_module_says_why(module: str) -> None:
    lines = len((ROOT / module).read_text().splitlines())
    assert lines <= MOST_LINES or REASON in (ast.get_docstring(MODULES[module]) or ""), lines


# Where images are divided above `vitrail.data`: for a run in one place, and for encoders whose run is not known.
DIVIDES = {"runs/split.py": "with_validation", "commands/probe.py": "with_validation"}


def test_a_runs_images_are_divided_in_one_place() -> None:
    found = {
        module: node.func.id
        for module, tree in MODULES.items()
        if not module.startswith("data/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "with_validation"
    }
    assert found == DIVIDES


PACKAGES = [path.parent for path in sorted(ROOT.rglob("*/__init__.py"))]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_packages_docstring_lists_its_modules_each_once_and_in_whole_words(package: Path) -> None:
    said = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    listed = re.findall(r"^- `(\w+)`: (.+(?:\n  .+)*)$", said, re.MULTILINE)
    there = {path.stem for path in package.glob("*.py")} | {path.parent.name for path in package.glob("*/__init__.py")}
    assert sorted(name for name, _ in listed) == sorted(there - {"__init__"})
    assert not [
        name for name, text in listed if text.endswith((" et al", ":", "...")) or text.count("(") != text.count(")")
    ]


# Private words that gave way to the field's (the table old -> new in CHANGELOG.md): nothing is to be named so again.
GONE = {
    *("told", "goal", "serves", "attend_together", "torus", "carry_out", "choose_start", "yardstick", "judge"),
    *("Pace", "Known", "Opened", "Turn", "AS_IT_IS", "Precisely", "Cut", "Hiding", "Levels", "LITTLE", "ENOUGH"),
    *("STILL", "crop_share", "picture", "pictures"),
}


def test_nothing_is_named_by_a_word_that_is_gone() -> None:
    defined = ast.FunctionDef | ast.ClassDef | ast.arg | ast.Name
    named = (
        (module, getattr(node, "name", None) or getattr(node, "arg", None) or getattr(node, "id", ""))
        for module, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, defined)
    )
    assert not {(module, name) for module, name in named if name.strip("_") in GONE}
