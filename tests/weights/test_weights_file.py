"""A weights file is read once per command, costs hardly more memory than its size, and says one thing to all."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.torch import save_file

import vitrail
from vitrail.cli import main
from vitrail.heads.names import build_model
from vitrail.heads.registry import name_of
from vitrail.weights import reader
from vitrail.weights.convert import convert
from vitrail.weights.weights_file import WeightsFile, open_weights

SHAPE = {"width": 32, "depth": 2, "num_heads": 2, "image_size": 32, "patch_size": 8}
ARCHITECTURE = [
    word
    for name in ("patch_size", "width", "depth", "num_heads")
    for word in (f"--architecture.{name.replace('_', '-')}", str(SHAPE[name]))
]
TRAINING = ("--image-size", "32", "--epochs", "1", "--loader.workers", "0")


class Reads:
    """Counts how often the tensors of each file were read since the last question."""

    def __init__(self) -> None:
        self.counts: dict[Path, int] = {}

    def counting(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def counted(path: Path, *args: Any) -> Any:
            self.counts[path] = self.counts.get(path, 0) + 1
            return read(path, *args)

        return counted

    def of(self, file: Path) -> int:
        return self.counts.pop(file, 0)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    found = Reads()
    for name in ("_read_safetensors", "_read_pickle", "_read_npz", "_read_shards"):
        monkeypatch.setattr(reader, name, found.counting(getattr(reader, name)))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier in three formats, and images of its three classes."""
    folder = tmp_path_factory.mktemp("once")
    model = build_model("vit_ti16", num_classes=3, **SHAPE)
    save_file(model.state_dict(), folder / "a.safetensors")
    for layout, name in (("huggingface", "a.pth"), ("google", "a.npz"), ("huggingface", "hf")):
        convert(folder / "a.safetensors", layout, folder / name, num_heads=2)
    for number, kind in enumerate(("red", "green", "blue") * 4):
        path = folder / "images" / ("train" if number < 6 else "val") / kind / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), kind).save(path)
    return folder


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "a.npz"])
@pytest.mark.parametrize("model", ["auto", "vit_ti16"])
def test_training_from_weights_reads_them_once(
    name: str, model: str, folder: Path, tmp_path: Path, reads: Reads
) -> None:
    options = ARCHITECTURE if model != "auto" else []
    words = ["train", str(folder / "images"), "--weights", str(folder / name), "--model", model, *options, *TRAINING]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    assert reads.of(folder / name) == 1


def test_pretraining_and_probing_from_weights_read_them_once(folder: Path, tmp_path: Path, reads: Reads) -> None:
    file, images = tmp_path / "mae.safetensors", str(folder / "images")
    save_file(build_model("mae_vit_ti16", decoder_width=32, decoder_depth=1, **SHAPE).state_dict(), file)
    options = [*ARCHITECTURE, "--decoder-width", "32", "--decoder-depth", "1", *TRAINING]
    assert main(["pretrain", images, "--weights", str(file), *options, "--out", str(tmp_path / "run")]) == 0
    assert reads.of(file) == 1
    options = ["--tune-blocks", "1", "--tune-epochs", "1", "--epochs", "1", "--workers", "0", "--neighbours", "1"]
    assert main(["probe", str(file), images, *options, "--out", str(tmp_path / "probe")]) == 0
    assert reads.of(file) == 1


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "a.npz", "hf/model.safetensors"])
def test_every_command_about_weights_reads_them_once(name: str, folder: Path, tmp_path: Path, reads: Reads) -> None:
    file, other = folder / name, folder / ("a.npz" if name != "a.npz" else "a.pth")
    for words in (
        ["inspect", str(file)],
        ["convert", str(file), "--to", "timm", "--out", str(tmp_path / "out")],
        ["verify", str(file), "--source", str(other)],
    ):
        assert main(["weights", *words]) == 0
        assert reads.of(file) == 1, words[0]
        assert reads.of(other) == int(words[0] == "verify")


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "a.npz", "hf", "own"])
def test_every_command_that_takes_a_model_reads_it_once(
    name: str, folder: Path, tmp_path: Path, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    image = next((folder / "images" / "val").rglob("*.png"))
    model, commands = folder / name, [["predict", str(folder / name), str(image), "--json"]]
    commands.append(["look", str(model), str(image), "--out", str(tmp_path / "look")])
    if name == "own":
        convert(folder / "a.safetensors", "vitrail", model, num_heads=2)
        config = json.loads((model / "config.json").read_text())
        (model / "config.json").write_text(json.dumps({**config, "class_names": ["blue", "green", "red"]}))
        commands.append(["evaluate", str(model), str(folder / "images"), "--workers", "0"])
    file = model / "model.safetensors" if model.is_dir() else model
    reads.counts.clear()
    for words in commands:
        assert main(words) == 0, words[0]
        assert reads.of(file) == 1, words[0]
        assert not reads.counts, words[0]
    vitrail.open_model(model)
    assert reads.of(file) == 1


def test_loading_in_python_reads_once(folder: Path, reads: Reads) -> None:
    file = folder / "a.safetensors"
    model = vitrail.create_model("vit_ti16", num_classes=3, weights=file, **SHAPE)
    assert reads.of(file) == 1
    vitrail.load_weights(model, file)
    assert reads.of(file) == 1
    vitrail.from_pretrained(folder / "hf")
    assert reads.of(folder / "hf" / "model.safetensors") == 1


def test_what_lies_beside_a_file_is_known_without_reading_its_tensors(folder: Path, reads: Reads) -> None:
    weights = open_weights(folder / "hf")
    assert weights.preprocessing.image_size == (32, 32)
    assert len(weights.class_names) == 3
    assert not reads.counts


def test_a_checkpoint_of_vitrails_and_anybodys_file_are_described_in_the_same_form(
    folder: Path, tmp_path: Path
) -> None:
    convert(folder / "a.safetensors", "vitrail", tmp_path, num_heads=2)
    own, foreign = WeightsFile(tmp_path), WeightsFile(folder / "hf")
    assert own.is_own
    assert not foreign.is_own
    assert own.description.name == foreign.description.name == "vit_s8"
    assert own.description.preprocessing == foreign.description.preprocessing
    assert own.description.class_names == foreign.description.class_names


def test_a_part_of_a_file_is_another_model_with_the_same_origin(tmp_path: Path) -> None:
    model = build_model("mae_vit_ti16", decoder_width=32, decoder_depth=1, **SHAPE)
    save_file(model.state_dict(), tmp_path / "mae.safetensors")
    weights = WeightsFile(tmp_path / "mae.safetensors", 2)
    encoder = weights.without(("decoder.",))
    assert name_of(weights.spec) == "mae_vit_s8"
    assert name_of(encoder.spec) == "vit_s8"
    assert encoder.preprocessing == weights.preprocessing
    assert encoder.num_heads == 2


MEMORY = """
import resource, sys, torch
from vitrail.weights.weights_file import WeightsFile
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
WeightsFile(sys.argv[1]).spec
before = peak()
weights = WeightsFile(sys.argv[2])
weights.spec, weights.preprocessing, sum(float(tensor.sum()) for tensor in weights.tensors.values())
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="reads the process's largest memory off the kernel")
@pytest.mark.parametrize(
    ("layout", "suffix"), [("huggingface", "safetensors"), ("huggingface", "pth"), ("google", "npz")]
)
def test_opening_a_file_takes_hardly_more_memory_than_it_has(
    layout: str, suffix: str, folder: Path, tmp_path: Path
) -> None:
    model = build_model("vit_s16", num_classes=0)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    layout = "google" if suffix == "npz" else "huggingface"
    file = convert(tmp_path / "a.safetensors", layout, tmp_path / f"b.{suffix}").out
    words = [sys.executable, "-c", MEMORY, str(folder / f"a.{suffix}"), str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 2**10
    assert int(done.stdout) * unit < 1.3 * file.stat().st_size
