"""A module imports only from lower floors; packages on one floor do not import each other."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import vitrail

ROOT = Path(vitrail.__file__).parent
FLOORS = {
    "errors": 0,
    "coerce": 0,
    "config": 0,
    "console": 0,
    "output": 0,
    "defence": 0,
    "ranges": 0,
    "help": 0,
    "meaning": 0,
    "synonyms": 0,
    "settings": 0,
    "paths": 0,
    "serialize": 0,
    "seeding": 0,
    "layers": 1,
    "data": 1,
    "training": 1,
    "trust": 1,
    "models": 2,
    "heads": 3,
    "explain": 4,
    "weights": 4,
    "visualize": 5,
    "tasks": 6,
    "arguments": 7,
    "live": 7,
    "audit": 7,
    "runs": 7,
    "card": 7,
    "stress": 7,
    "commands": 8,
    "papers": 9,
    "cli": 10,
    "__main__": 11,
}
MODULES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")


def floor_and_package(module: str) -> tuple[int, str]:
    package = module.removeprefix("vitrail.").split(".")[0]
    return FLOORS[package], package


def imported(path: Path) -> set[str]:
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 0}
    return {name for name in names if name.startswith("vitrail.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_come_from_lower_floors(path: Path) -> None:
    floor, package = floor_and_package(str(path.relative_to(ROOT).with_suffix("")).replace("/", "."))
    for name in imported(path):
        below, other = floor_and_package(name)
        allowed = other == package or below < floor or below == floor == 0
        assert allowed, f"{package} (floor {floor}) imports {name} (floor {below})"


def test_every_package_has_a_floor_and_stands_on_the_map() -> None:
    # A package that was moved leaves a folder behind, with what Python compiled of it.
    there = [path for path in ROOT.iterdir() if path.is_file() or any(path.glob("*.py"))]
    found = {path.stem if path.is_file() else path.name for path in there if path.name[0] not in "_."}
    found -= {"py"}
    assert found - {"py.typed"} <= set(FLOORS)
    map_page = (ROOT.parents[1] / "docs" / "map.md").read_text()
    for package in found - {"py.typed"}:
        assert package in map_page, f"docs/map.md does not show {package}"


@pytest.mark.parametrize("module", ["vitrail", "vitrail.cli", "vitrail.settings", "vitrail.tasks.recipes"])
def test_the_command_line_answers_without_importing_torch(module: str) -> None:
    code = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
