"""What the plain install brings is all that the package imports."""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
GUARDED = {"fastapi", "huggingface_hub", "pi_heif", "pyarrow", "tensorboard", "uvicorn"}
"""Packages of extras; the modules that import them say how to install them where they are missing."""
IMPORTED_AS = {"pillow": "PIL", "scikit-learn": "sklearn"}


def imported() -> set[str]:
    names: set[str] = set()
    for file in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"vitrail"}


def test_a_plain_install_brings_every_package_that_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {re.split(r"[<>=!\[ ]", requirement)[0] for requirement in project["dependencies"]}
    brought = {IMPORTED_AS.get(name, name.replace("-", "_")) for name in named}
    assert imported() - GUARDED <= brought
    assert "detect" in project["optional-dependencies"], "commands that name the old extra must still work"
