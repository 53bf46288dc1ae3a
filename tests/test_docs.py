"""README, CONTRIBUTING and the map say what is so: paths and names resolve, commands are taken, snippets run."""

import contextlib
import functools
import importlib
import io
import re
import shlex
from pathlib import Path

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

import vitrail
import vitrail.settings
from vitrail.arguments import options_of, parse
from vitrail.cli import VERBS, main
from vitrail.errors import WeightsError
from vitrail.tasks.registry import TASKS

ROOT = Path(vitrail.__file__).parents[2]
SOURCE = ROOT / "src" / "vitrail"
GUIDES = [f"docs/{page.relative_to(ROOT / 'docs')}" for page in sorted((ROOT / "docs").glob("guides/*.md"))]
PAGES = ["README.md", "CONTRIBUTING.md", "docs/map.md", "docs/quickstart.md", "docs/papers/index.md", *GUIDES]
TINY = ["--architecture.patch-size", "8", "--architecture.width", "32", "--architecture.depth", "1"]
TINY += ["--architecture.num-heads", "2", "--epochs", "1", "--batch-size", "8", "--image-size", "32"]
TINY_OF = {
    "pretrain": [*TINY, "--decoder-width", "32", "--decoder-depth", "1"],
    "train": ["--epochs", "1", "--batch-size", "8"],
}


def text_of(page: str) -> str:
    return (ROOT / page).read_text()


def blocks(page: str, language: str = "") -> list[str]:
    """Return the code blocks of a page in a language; of a shell where none is named."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text_of(page), re.MULTILINE | re.DOTALL)


def spoken(page: str) -> list[str]:
    """Return what stands between single backticks outside of code blocks."""
    prose = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(found.split()) for found in re.findall(r"`([^`]+)`", prose)]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_every_path_leads_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text_of(page)):
        assert "://" in link or (ROOT / page).parent.joinpath(link).exists(), link
    for word in spoken(page):
        if re.fullmatch(r"[\w./-]+/[\w./-]*|[\w-]+\.(md|py|toml)", word) and "NAME" not in word:
            known = [ROOT / word, SOURCE / word, ROOT / "tests" / word, *SOURCE.glob(f"*/{word}")]
            made = word.split("/")[0] in ("train", "runs", "RUN")  # of the user's, not of this repository
            assert made or any(path.exists() for path in known), f"{page} names {word}"


def test_every_module_on_the_map_exists() -> None:
    rows = re.findall(r"^\| \d+ \| ([^|]+) \| (.*) \|$", text_of("docs/map.md"), re.MULTILINE)
    assert len(rows) > 8
    for packages, text in rows:
        folders = [SOURCE / name.rstrip("/") for name in re.findall(r"`([\w/]+)`", packages)]
        assert all(path.exists() or path.with_suffix(".py").exists() for path in folders), packages
        for name in re.findall(r"`(\w+)/?`", text):
            places = [folder / name for folder in folders] + [
                SOURCE / name,
                *(folder.with_name(name) for folder in SOURCE.glob("tasks/*/*.py")),
            ]
            there = any(path.is_dir() or path.with_suffix(".py").exists() for path in places)
            assert there, f"the map's row of {packages} names {name}"


def test_every_station_of_the_map_exists() -> None:
    way = text_of("docs/map.md").partition("## From a command to a checkpoint")[2]
    stations = re.findall(r"`([\w.]+)`", way)
    assert len(stations) > 8
    for station in stations:
        module, _, name = station.rpartition(".")
        assert hasattr(importlib.import_module(f"vitrail.{module}"), name), station


def test_every_public_name_is_in_the_api_reference() -> None:
    documented = re.findall(r"auto(?:function|class):: (\w+)$", text_of("docs/api.md"), re.MULTILINE)
    assert len(documented) == len(set(documented))
    assert {name for name in dir(vitrail) if not name.startswith("_")} - set(documented) <= {"VitrailError"}


def test_the_glossary_is_in_order_and_explains_a_term_once() -> None:
    terms = re.findall(r"^\*\*(.+?)\*\*$", text_of("docs/glossary.md"), re.MULTILINE)
    assert len(terms) > 30
    assert terms == sorted(set(terms), key=str.lower)


def test_what_is_to_be_changed_is_where_the_map_says() -> None:
    table = text_of("docs/map.md").partition("## Where to change what")[2].partition("\n## ")[0]
    named = re.findall(r"`([\w/]+)\.py`: ((?:`[\w.]+`(?:, )?)+)", table)
    assert len(named) > 8
    for module, names in named:
        for name in re.findall(r"`([\w.]+)`", names):
            found = importlib.import_module(f"vitrail.{module.replace('/', '.')}")
            for part in name.split("."):
                found = getattr(found, part)


def commands(page: str) -> list[str]:
    """Return every command of vitrail that a page shows, in blocks or in prose."""
    lines = [line for block in blocks(page) for line in block.replace("\\\n", " ").splitlines()]
    lines += [part for words in spoken(page) for part in words.split("`, `")]
    found = [re.search(rf"\bvitrail ((?:{'|'.join(VERBS)})\b.*)$", line) for line in lines]
    return [hit.group(1).partition("#")[0].strip() for hit in found if hit]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_shown_is_taken_by_the_parser(page: str) -> None:
    for line in commands(page):
        verb, *words = shlex.split(line.replace("...", ""))
        kind = getattr(vitrail.settings, VERBS[verb].settings)
        if "--help" in words or "--help-all" in words:
            continue
        kinds = [own for spec in TASKS.values() if (own := spec.settings_for(kind))] or [kind]
        missing = any(word in line for word in ("...",)) or not words
        for word in words:
            if word.startswith("--"):
                assert any(word.partition("=")[0] in options_of(one) for one in kinds), line
        if not missing:
            with contextlib.suppress(WeightsError):  # The words are right; only the run is not here.
                parse(verb, kind, words)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images of two classes in ``photos``, and some without a class in ``new``, as the README's lines name them."""
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        for label, folder in enumerate(("photos/cat", "photos/dog", "new")):
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            colour = (number * 12, 120 * label, 255 - number * 12)
            Image.new("RGB", (32, 32), colour).save(tmp_path / folder / f"{number}.jpg")
    return tmp_path / "photos"


def published_weights() -> None:
    """Leave a file as timm publishes DeiT-Ti, where the README's lines look for it."""
    save_file(timm.create_model("deit_tiny_patch16_224").state_dict(), "deit_tiny.safetensors")


def test_the_main_line_runs_as_the_readme_shows_it(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At a tiny scale, which is all that is added."""
    block = "".join(block for block in blocks("README.md") if "photos --" in block)
    published_weights()
    for line in block.splitlines():
        _, verb, *words = shlex.split(line.partition("#")[0])
        if "--live" in words:
            continue  # it serves until Ctrl-C; `tests/live` opens its page
        words = [one for word in words for one in (map(str, sorted(Path().glob(word))) if "*" in word else [word])]
        assert main([verb, *words, *TINY_OF.get(verb, [])]) == 0, (line, capsys.readouterr().err)


def test_the_python_of_the_guide_runs(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny = {"patch_size": 8, "width": 32, "depth": 1, "num_heads": 2}
    vitrail.train("photos", out="runs/clf", architecture=tiny, image_size=32, batch_size=8, epochs=1)
    for name in ("cat", "dog"):
        (photos / name / "1.jpg").rename(f"{name}.jpg")
    names = {"images": torch.rand(2, 3, 64, 96)}
    for block in blocks("docs/guides/python.md", "python"):
        exec(block, names)
    assert names["vectors"].shape == (2, 192)
    assert len(names["alike"]) == 5
    assert names["tokens"].shape == (2, 1 + 4 * 6, 192)
    assert names["logits"].shape == (1, 2)


def test_the_python_of_the_readme_runs(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the smallest ViT in place of the base one, and tiny runs."""
    quick = functools.partial(vitrail.train, batch_size=8, image_size=64)
    monkeypatch.setattr(vitrail, "train", quick, raising=False)
    published_weights()
    torch.save(vitrail.create_model("vit_ti16", num_classes=10, image_size=224).state_dict(), "some_checkpoint.pth")
    names = {"images": torch.rand(1, 3, 224, 224)}
    for block in blocks("README.md", "python"):
        with contextlib.redirect_stdout(io.StringIO()):
            exec(block.replace("vit_b16", "vit_ti16").replace("epochs=10", "epochs=1"), names)
    assert names["out"].mask.shape == (1, 196)
    assert names["logits"].shape == (1, 10)
