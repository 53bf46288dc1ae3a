"""``vitrail embed``: vectors that are those of the model, whole after any interruption, and searched by likeness."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

import vitrail
import vitrail.runs.embedding as embedding
from tests.commands.data_sets import class_folders, csv_file, records
from tests.commands.untrained import untrained
from vitrail.cli import main
from vitrail.data.feature_files import read_features
from vitrail.errors import VitrailError
from vitrail.models.backbone import backbone_of

CPU = ["--device", "cpu", "--workers", "0"]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return untrained(tmp_path / "run")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "photos", records(35, first=7))


def embedded(*words: Any) -> int:
    return main(["embed", *map(str, words), *CPU])


def files_of(folder: Path) -> list[Path]:
    """Return the images in the order of a data set: by class, then by number."""
    return sorted(folder.rglob("*.bmp"), key=lambda file: (file.parent, len(file.name), file.name))


def inputs(model: Any, files: list[Path]) -> torch.Tensor:
    return torch.stack([model.preprocess(file) for file in files])


def test_the_vectors_are_those_of_an_open_model_and_of_one_image_after_the_other(run: Path, photos: Path) -> None:
    files, model = files_of(photos), vitrail.open_model(run, device="cpu")
    found = vitrail.embed(run, photos, device="cpu", workers=0)
    assert (found.shape, found.dtype) == ((70, 24), np.float32)
    assert np.array_equal(found, model.embed(files).numpy()), "the same batches, to the bit"
    one_by_one = torch.cat([model.embed(file) for file in files])
    assert np.abs(found - one_by_one.numpy()).max() < 1e-5 * np.abs(found).max(), "other batches, within rounding"


def test_the_order_of_the_images_changes_no_vector_by_more_than_rounding(run: Path, photos: Path) -> None:
    files = [str(file) for file in files_of(photos)]
    forwards = vitrail.embed(run, files, device="cpu", workers=0)
    backwards = vitrail.embed(run, files[::-1], device="cpu", workers=0)[::-1]
    assert np.abs(forwards - backwards).max() < 1e-5 * np.abs(forwards).max()


@pytest.mark.parametrize("trained", ["class", "mean"])
def test_each_pooling_is_made_of_the_tokens_as_the_model_norms_them(trained: str, tmp_path: Path, photos: Path) -> None:
    run = untrained(tmp_path / "run", pool=trained)
    model = vitrail.open_model(run, device="cpu")
    backbone = backbone_of(model.model)
    with torch.no_grad():
        for norm in (backbone.norm, backbone.fc_norm):  # not what every norm begins as
            for parameter in norm.parameters():
                parameter.copy_(torch.linspace(0.5, 2, 24))
    state = {name: tensor.contiguous() for name, tensor in model.model.state_dict().items()}
    from safetensors.torch import save_file

    save_file(state, run / "model.safetensors")
    with torch.inference_mode():
        tokens = backbone.forward_features(inputs(model, files_of(photos)[:5]))
        norm = backbone.fc_norm if trained == "mean" else torch.nn.Identity()
        first, mean = norm(tokens[:, 0]), norm(tokens[:, 1:].sum(dim=1) / 16)
    expected = {"class": first, "mean": mean, "both": torch.cat([first, mean], dim=1), "auto": first}
    expected["auto"] = first if trained == "class" else mean
    for pool, vectors in expected.items():
        found = vitrail.embed(run, [str(file) for file in files_of(photos)[:5]], pool=pool, device="cpu")
        assert np.allclose(found, vectors.numpy(), rtol=1e-5, atol=1e-5), pool
    assert not np.allclose(first, mean, atol=1e-2)


@pytest.mark.parametrize("name", ["swin_t", "bit_r50x1"])
def test_a_model_without_a_class_token_gives_the_mean_of_its_places_and_no_class(
    name: str, tmp_path: Path, photos: Path
) -> None:
    run, files = untrained(tmp_path / "run", model=name), [str(file) for file in files_of(photos)[:4]]
    model = vitrail.open_model(run, device="cpu")
    expected = model.embed(files).numpy()
    out, tokens = tmp_path / "a.npz", tmp_path / "tokens.npy"
    settings = {"device": "cpu", "workers": 0}
    assert np.array_equal(vitrail.embed(run, files, **settings), expected)
    mean = vitrail.embed(run, files, pool="mean", out=out, patch_tokens=str(tokens), token_dtype="float32", **settings)
    assert np.allclose(mean, expected, rtol=1e-4, atol=1e-6)
    assert np.allclose(np.load(tokens).mean(axis=1), expected, rtol=1e-4, atol=1e-6)
    with pytest.raises(VitrailError, match="has no class token; use --pool mean"):
        vitrail.embed(run, files, pool="both", **settings)


@pytest.mark.parametrize("suffix", ["parquet", "npz", "csv"])
def test_a_file_holds_names_labels_and_every_bit_of_the_vectors(
    suffix: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    data = class_folders(tmp_path / "data", records(3, split="train", first=5) + records(2, split="test", first=90))
    out = tmp_path / "new" / f"a.{suffix}"
    assert embedded(run, data, "--out", out) == 0
    said = capsys.readouterr().out
    assert said.startswith("10 images, 24 dimensions, ")
    assert said.rstrip().endswith(f"images/s, {out}")
    table = read_features(out)
    assert [Path(file).parts[-3:-1] for file in table.files] == [
        (split, label) for split, count in (("train", 3), ("test", 2)) for label in ("ant", "bee") for _ in range(count)
    ]
    assert list(table.labels) == ["ant"] * 3 + ["bee"] * 3 + ["ant"] * 2 + ["bee"] * 2
    assert list(table.splits) == ["train"] * 6 + ["test"] * 4
    expected = vitrail.open_model(run, device="cpu").embed(list(table.files)).numpy()
    assert table.vectors.dtype == np.float32
    assert np.array_equal(table.vectors, expected)
    assert table.about["pool"] == "auto"
    assert table.about["preprocessing"]["image_size"] == [32, 32]
    assert not list(out.parent.glob(".*")), "nothing is left beside it"
    before = out.read_bytes()
    assert embedded(run, data, "--out", out) == 0, "done already"
    assert "computed before" in capsys.readouterr().out
    assert out.read_bytes() == before


def test_other_tools_read_the_columns(run: Path, photos: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for suffix in ("parquet", "csv"):
        assert embedded(run, photos, "--out", tmp_path / f"a.{suffix}") == 0
    table = parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names == ["file", "label", "vector"], "no split is known"
    lines = (tmp_path / "a.csv").read_text().splitlines()
    assert lines[0].split(",")[:3] == ["file", "label", "vector_0"]
    row = lines[70].split(",")
    assert row[1] == table.column("label")[69].as_py() == "bee"
    assert [np.float32(value) for value in row[2:]] == table.column("vector")[69].as_py()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_patch_tokens_are_those_of_the_model_and_map_into_memory(
    dtype: str, run: Path, photos: Path, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens.npy"
    words = ["--patch-tokens", tokens, "--token-dtype", dtype, "--out", tmp_path / "a.npz"]
    assert embedded(run, photos, *words) == 0
    found = np.load(tokens, mmap_mode="r")
    assert (found.shape, str(found.dtype)) == ((70, 16, 24), dtype)
    model = vitrail.open_model(run, device="cpu")
    with torch.inference_mode():
        expected = backbone_of(model.model).forward_features(inputs(model, files_of(photos)))[:, 1:].numpy()
    assert np.abs(found - expected).max() < (2e-3 if dtype == "float16" else 1e-5) * np.abs(expected).max()


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_a_command_that_ends_anywhere_goes_on_and_gives_the_same_to_the_bit(
    suffix: str, run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step that makes something durable is a place to end at, before it has an effect."""
    (photos / "ant" / "ant11.bmp").write_bytes(b"no image")
    monkeypatch.setattr(embedding, "SAVED_EVERY", 0.0)

    def asked(name: str) -> int:
        out = tmp_path / name
        out.mkdir(exist_ok=True)
        return embedded(run, photos, "--out", out / f"a.{suffix}", "--patch-tokens", out / "tokens.npy")

    assert asked("whole") == 0
    at, ended = 0, True
    while ended:
        at, ended = at + 1, False
        with monkeypatch.context() as patch:
            left = iter(range(at - 1, -1, -1))
            for place, name in ((os, "fsync"), (Path, "replace"), (shutil, "rmtree")):
                patch.setattr(place, name, _ending(getattr(place, name), left))
            try:
                asked(f"cut{at}")
            except Killed:
                ended = True
        assert asked(f"cut{at}") == 0
        for file in (tmp_path / "whole").iterdir():
            assert (tmp_path / f"cut{at}" / file.name).read_bytes() == file.read_bytes(), (at, file.name)
        assert {file.name for file in (tmp_path / f"cut{at}").iterdir()} == {
            file.name for file in (tmp_path / "whole").iterdir()
        }, "nothing hidden is left"
    assert at > 20


def _ending(function: Any, left: Any) -> Any:
    """Return a function that ends the process once a countdown is over."""

    def step(*arguments: Any, **named: Any) -> Any:
        if next(left, None) == 0:
            raise Killed
        return function(*arguments, **named)

    return step


def test_an_interruption_by_hand_says_what_is_kept_and_the_same_command_goes_on(
    run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedding, "SAVED_EVERY", 0.0)
    call, calls = embedding.Embedder.__call__, iter(range(9))

    def interrupted(self: Any, *arguments: Any) -> Any:
        if next(calls) == 1:
            raise KeyboardInterrupt
        return call(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(embedding.Embedder, "__call__", interrupted)
        assert embedded(run, photos, "--out", tmp_path / "a.npz") == 130
    assert "32 of 70 images are kept, and the same command goes on" in capsys.readouterr().err
    assert embedded(run, photos, "--out", tmp_path / "a.npz") == 0
    assert np.array_equal(read_features(tmp_path / "a.npz").vectors, vitrail.embed(run, photos, device="cpu"))


def test_a_killed_process_goes_on_where_it_was(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = class_folders(tmp_path / "photos", records(400, first=7))
    out = tmp_path / "cut.npz"
    slow = (
        "import sys, time, vitrail.runs.embedding as e\n"
        "from vitrail.cli import main\n"
        "e.SAVED_EVERY = 0.0\n"
        "call = e.Embedder.__call__\n"
        "e.Embedder.__call__ = lambda self, *images: (time.sleep(0.2), call(self, *images))[1]\n"
        "main(sys.argv[1:])\n"
    )
    words = ["embed", str(run), str(photos), "--out", str(out), *CPU]
    process = subprocess.Popen([sys.executable, "-c", slow, *words])
    deadline = time.monotonic() + 60
    while len(list((tmp_path / ".cut.npz.unfinished").glob("*.npz"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not out.exists()
    kept = len(list((tmp_path / ".cut.npz.unfinished").glob("*.npz")))
    computed = 0
    call = embedding.Embedder.__call__

    def counted(self: Any, *arguments: Any) -> Any:
        nonlocal computed
        computed += 1
        return call(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedding.Embedder, "__call__", counted)
        assert main(words) == 0
    assert computed == 25 - kept < 25
    assert np.array_equal(read_features(out).vectors, vitrail.embed(run, photos, device="cpu", workers=0))
    capsys.readouterr()


def test_what_was_begun_with_other_options_is_not_gone_on_with(
    run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "a.npz"
    monkeypatch.setattr(embedding, "SAVED_EVERY", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr("vitrail.commands.embed.write_features", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            embedded(run, photos, "--out", out)
    assert embedded(run, photos, "--out", out, "--pool", "mean") == 0
    assert "is computed anew" in capsys.readouterr().err
    assert np.array_equal(read_features(out).vectors, vitrail.embed(run, photos, pool="mean", device="cpu", workers=0))


def test_damaged_images_are_counted_named_and_left_out(
    run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = photos / "bee" / "bee3.bmp"
    broken.write_bytes(b"no image")
    assert embedded(run, photos, "--out", tmp_path / "a.npz") == 0
    printed = capsys.readouterr()
    assert "left out: 1 of 70 images" in printed.err
    assert str(broken) in printed.err
    assert printed.out.startswith("69 images, ")
    table = read_features(tmp_path / "a.npz")
    assert str(broken) not in table.files
    assert len(table.files) == len(table.labels) == 69
    alone = vitrail.open_model(run, device="cpu").embed([table.files[-1]]).numpy()[0]
    assert np.allclose(table.vectors[-1], alone, atol=1e-5), "rows after it are still their own images'"
    with pytest.raises(VitrailError, match="lies inside the data"):
        vitrail.embed(run, photos, out=photos / "a.npz", device="cpu", workers=0)
    with pytest.raises(VitrailError, match="left out: 1 of 70"):
        vitrail.embed(run, photos, device="cpu", workers=0)


def test_images_without_labels_and_images_in_memory_are_embedded(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    images = [np.random.default_rng(seed).integers(0, 256, (40, 30, 3), dtype=np.uint8) for seed in (3, 4)]
    for number, image in enumerate(images):
        Image.fromarray(image).save(flat / f"{number}.png")
    assert embedded(run, flat, "--out", tmp_path / "a.npz") == 0
    assert "Without labels" in capsys.readouterr().err
    table = read_features(tmp_path / "a.npz")
    assert list(table.labels) == [None, None]
    assert np.array_equal(table.vectors, vitrail.embed(run, images, device="cpu"))


def test_tables_and_embedded_digits_are_embedded_with_their_labels_and_splits(run: Path, tmp_path: Path) -> None:
    table = csv_file(tmp_path / "data", records(2, split="train", first=5) + records(2, split="test", first=90))
    assert embedded(run, table, "--out", tmp_path / "a.npz") == 0
    found = read_features(tmp_path / "a.npz")
    assert list(zip(found.labels, found.splits, strict=True)) == [
        (label, split) for split in ("train", "test") for label in ("ant", "bee") for _ in range(2)
    ]
    assert all(Path(file).is_file() for file in found.files)
    assert embedded(run, "digits", "--out", tmp_path / "b.npz") == 0
    digits = read_features(tmp_path / "b.npz")
    assert len(digits.files) == 1797
    assert set(digits.labels) == set("0123456789")
    assert [digits.splits.count(split) for split in ("validation", "test")] == [200, 300]


@pytest.mark.parametrize(
    ("task", "model"), [("classify", "mae_vit_ti16"), ("detect", "swin_t"), ("segment", "vit_ti16")]
)
def test_models_of_every_task_give_what_their_backbone_makes_of_an_image(
    task: str, model: str, tmp_path: Path, photos: Path
) -> None:
    task = "mae" if model.startswith("mae") else task
    run, files = untrained(tmp_path / "run", task, model), files_of(photos)[:3]
    opened = vitrail.open_model(run, device="cpu")
    with torch.inference_mode():
        expected = backbone_of(opened.model).embed(inputs(opened, files)).numpy()
    found = vitrail.embed(run, [str(file) for file in files], device="cpu")
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_a_search_finds_the_image_itself_and_then_its_mirror_image(
    run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = np.repeat(np.linspace(0, 255, 32).astype(np.uint8)[:, None, None], 32, axis=1).repeat(3, axis=2)
    values[4:9, 3:8] = (200, 30, 60)
    smooth = Image.fromarray(values)
    query, mirrored = photos / "ant" / "query.bmp", photos / "bee" / "mirrored.bmp"
    smooth.save(query)
    ImageOps.mirror(smooth).save(mirrored)
    features = tmp_path / "a.npz"
    assert embedded(run, photos, "--out", features, "--pool", "mean") == 0
    capsys.readouterr()
    assert main(["embed", "--search", str(query), "--features", str(features), "--top", "4", "--device", "cpu"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if ".bmp" in line][1:]
    assert len(lines) == 4
    assert all(word in lines[0] for word in (str(query), "ant", "1.0000"))
    assert str(mirrored) in lines[1]
    drawn = Image.open(tmp_path / "query-similar.png")
    assert drawn.width > 5 * 224
    found = vitrail.search(query, features, run, top=72, device="cpu")
    vectors = np.asarray(read_features(features).vectors, np.float64)
    files = read_features(features).files
    asked = vectors[files.index(str(query))]
    by_hand = {
        file: float(v @ asked / np.sqrt((v @ v) * (asked @ asked))) for file, v in zip(files, vectors, strict=True)
    }
    assert [one.similarity for one in found] == sorted((one.similarity for one in found), reverse=True)
    for one in found:
        assert one.similarity == pytest.approx(by_hand[one.file], abs=1e-6)


def test_a_model_that_was_moved_is_named_and_json_says_it_all(
    run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features, query = tmp_path / "a.npz", files_of(photos)[40]
    assert embedded(run, photos, "--out", features, "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["images"], said["dimensions"], said["left_out"], said["out"]) == (70, 24, [], str(features))
    run.rename(tmp_path / "moved")
    search = ["--search", query, "--features", features, "--json"]
    assert "give MODEL" in refused(capsys, *search)
    out = tmp_path / "sheets" / "found.png"
    assert main(["embed", str(tmp_path / "moved"), *map(str, search), "--top", "100", "--out", str(out)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["found"]) == 70, "no more than there are"
    assert said["found"][0]["file"] == str(query)
    assert said["found"][0]["label"] == "bee"
    assert Image.open(said["figure"]).format == "PNG"


def test_a_search_from_another_folder_finds_the_images_all_the_same(
    run: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    query, elsewhere = files_of(photos)[0], tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(photos.parent)
    assert embedded(run, photos.name, "--out", "a.npz") == 0
    words = ["embed", "--search", str(query), "--features", str(photos.parent / "a.npz"), "--device", "cpu"]
    assert main([*words, "--out", str(tmp_path / "here.png")]) == 0
    monkeypatch.chdir(elsewhere)
    capsys.readouterr()
    assert main([*words, "--out", str(tmp_path / "there.png")]) == 0
    assert "grey square" not in "".join(capsys.readouterr())
    assert (tmp_path / "here.png").read_bytes() == (tmp_path / "there.png").read_bytes()


def test_a_search_draws_a_place_for_images_that_are_gone_and_says_how_many(
    run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features, query = tmp_path / "a.npz", files_of(photos)[0]
    assert embedded(run, photos, "--out", features) == 0
    shutil.rmtree(photos / "bee")
    words = ["embed", "--search", str(query), "--features", str(features), "--top", "70", "--device", "cpu"]
    assert main(words) == 0
    assert (tmp_path / "ant0-similar.png").is_file()
    assert "35 of these 70 images are not where they were" in "".join(capsys.readouterr())


def refused(capsys: pytest.CaptureFixture[str], *words: Any) -> str:
    capsys.readouterr()
    assert main(["embed", *map(str, words)]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[-1].startswith("vitrail: ")
    assert not any(line.startswith("Traceback") for line in said)
    return said[-1]


def test_bad_input_is_one_sentence(
    run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    features, text, folder = tmp_path / "a.npz", tmp_path / "notes.txt", tmp_path / "folder.npz"
    folder.mkdir()
    text.write_text("nothing of the kind\n")
    assert embedded(run, photos, "--out", features) == 0
    query, other = files_of(photos)[0], untrained(tmp_path / "other", seed=4)
    fake = tmp_path / "fake.npz"
    shutil.copy(text, fake)
    search = ["--search", query, "--features"]
    assert "needs MODEL and DATA" in refused(capsys)
    assert "needs --out" in refused(capsys, run, photos)
    assert "none of .parquet, .npz, .csv" in refused(capsys, run, photos, "--out", tmp_path / "a.txt")
    assert "is a folder; give a file" in refused(capsys, run, photos, "--out", folder)
    assert "is a file and no folder" in refused(capsys, run, photos, "--out", text / "a.npz")
    assert "lies inside the data" in refused(capsys, run, photos, "--out", photos / "a.npz")
    assert "no_such" in refused(capsys, run, tmp_path / "no_such", "--out", tmp_path / "b.npz")
    assert "no_such" in refused(capsys, tmp_path / "no_such", photos, "--out", tmp_path / "b.npz")
    assert "must end in .npy" in refused(capsys, run, photos, "--out", tmp_path / "b.npz", "--patch-tokens", "x.npz")
    assert "add --patch-tokens" in refused(capsys, run, photos, "--out", features, "--token-dtype", "float32")
    assert "add --search" in refused(capsys, run, photos, "--out", features, "--top", "3")
    assert "of another model" in refused(capsys, other, photos, "--out", features, *CPU)
    assert "of another --pool" in refused(capsys, run, photos, "--out", features, "--pool", "mean", *CPU)
    assert "of other images" in refused(capsys, run, photos / "ant", "--out", features, *CPU)
    assert "of another model" in refused(capsys, other, *search, features)
    assert "there is no features file" in refused(capsys, *search, tmp_path / "gone.npz")
    assert "is no features file" in refused(capsys, *search, fake)
    assert "none of .parquet" in refused(capsys, *search, text)
    assert "needs --features" in refused(capsys, "--search", query)
    assert "leave it out" in refused(capsys, *search, features, "--pool", "mean")
    assert "was computed in fp32" in refused(capsys, *search, features, "--precision", "bf16")
    assert "no_such" in refused(capsys, "--search", "no_such.jpg", "--features", features)
    assert str(text) in refused(capsys, "--search", text, "--features", features)
    assert "stands for 70" in refused(capsys, "--search", photos, "--features", features)
    assert "did you mean '--features'" in refused(capsys, "--search", query, "--in", features)
    assert not (tmp_path / "b.npz").exists()
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert 'pip install "vitrail[embed]"' in refused(capsys, run, photos, "--out", tmp_path / "a.parquet")


def test_a_csv_that_was_changed_or_lost_its_description_is_refused(
    run: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    features = tmp_path / "a.csv"
    assert embedded(run, photos, "--out", features) == 0
    assert json.loads((tmp_path / "a.csv.json").read_text())["dimensions"] == 24
    search = ["--search", files_of(photos)[0], "--features", features]
    features.write_text(features.read_text().replace("ant", "bee", 1))
    assert "compute the features again" in refused(capsys, *search)
    (tmp_path / "a.csv.json").unlink()
    assert "is missing" in refused(capsys, *search)
