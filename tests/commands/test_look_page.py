"""What `look` and the tour claim of what they show, and what they leave as it was."""

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vitrail
from tests.commands.untrained import untrained
from vitrail.cli import main
from vitrail.data.sources import Images, Source
from vitrail.errors import ConfigError, DataError, VitrailError
from vitrail.runs.metrics_file import read_metrics
from vitrail.runs.report import caption
from vitrail.runs.shown import held_out_of
from vitrail.visualize.curves import read_curves


def image(seed: int, size: tuple[int, int] = (40, 30)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_look_leaves_the_runs_report_as_it_is_and_writes_its_own(classifier: Path, tmp_path: Path) -> None:
    report = (classifier / "report.html").read_bytes()
    image(1).save(tmp_path / "cat.png")
    for out in ({}, {"out": tmp_path / "elsewhere"}, {"out": str(classifier)}):
        written = vitrail.look(classifier, tmp_path / "cat.png", **out)
        assert written[-1].name == "look.html"
        page = written[-1].read_text()
        assert "named by the user: whether the run was trained on them is not known" in page
        assert "eld-out" not in page
        assert "held out" not in page
        assert (classifier / "report.html").read_bytes() == report


def test_the_page_says_which_images_and_which_checkpoint(classifier: Path, tmp_path: Path) -> None:
    page = vitrail.look(classifier, out=tmp_path, count=2)[-1].read_text()
    assert "2 images of 200 of the validation split: not trained on" in page
    assert re.search(r"checkpoint step_0+\d+, the best", page)
    last = vitrail.look(classifier / "checkpoints" / "last", out=tmp_path, count=1)[-1].read_text()
    assert "the last" in last or "best and last" in last


DAMAGED_ROWS = [
    "{",
    "[1]\n",
    "null\n",
    "7\n",
    '{"step": 1, "loss": [1]}\n',
    "\udcff\udcfe\n",
    '{"step": 1, "los',
    "\0\n",
    "[" * 99999,
]


@pytest.mark.parametrize("rows", DAMAGED_ROWS, ids=range(len(DAMAGED_ROWS)))
def test_lines_that_are_no_rows_are_left_out_of_the_curves(rows: str, tmp_path: Path) -> None:
    """A run that goes on may be writing its last line while `look` reads it."""
    whole = '{"step": 1, "validation/loss": 0.5}\n'
    (tmp_path / "metrics.jsonl").write_bytes((whole + rows).encode("utf-8", "surrogateescape"))
    found = read_metrics(tmp_path)
    assert found[0]["validation/loss"] == 0.5
    assert [curve.values for curve in read_curves(found)] == [(0.5,)]


@pytest.mark.parametrize("split", ["validation", "test", "train"])
def test_only_images_that_were_held_out_are_said_to_be(split: str) -> None:
    images = Images(tuple(image(n) for n in range(9)), None, tuple(map(str, range(9))))
    parts = {name: images if name == split else None for name in ("train", "validation", "test")}
    shown = held_out_of(Source("some", **parts), 4)
    assert ("not trained on" in shown.what) == (split != "train")
    assert ("that the model was trained on" in shown.what) == (split == "train")
    assert shown.what.startswith("4 images of 9 ")
    assert shown.what in caption("attention", shown.what)
    assert shown.what not in caption("curves", shown.what)


def test_no_caption_claims_by_itself_that_images_were_held_out() -> None:
    from vitrail.runs.report import CAPTIONS

    assert not [text for text in CAPTIONS.values() if re.search("held.out", text, re.IGNORECASE)]


def test_images_that_cannot_be_read_give_their_place_to_the_next(tmp_path: Path) -> None:
    files = []
    for number in range(8):
        files.append(tmp_path / f"{number}.png")
        files[-1].write_bytes(b"damaged") if number % 2 else image(number).save(files[-1])
    shown = held_out_of(Source("some", None, Images(tuple(files), None, tuple(f.name for f in files)), None), 4)
    assert sorted(shown.images.names) == ["0.png", "2.png", "4.png", "6.png"]
    broken = Images(tuple(files[1::2]), None, ("a",) * 4)
    with pytest.raises(DataError, match="no image can be read"):
        held_out_of(Source("some", None, broken, None), 2)


@pytest.mark.parametrize("task", ["classify", "detect", "segment"])
def test_look_takes_what_predict_takes_and_says_what_it_leaves_out(
    task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = untrained(tmp_path / "model", task)
    image(3).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"damaged")
    array = np.asarray(image(4))
    request = [tmp_path / "b.png", str(tmp_path / "a.png"), array, image(5), image(6)]
    written = vitrail.look(checkpoint, request, out=tmp_path / "look", count=3)
    assert "3 images named by the user" in written[-1].read_text()
    said = capsys.readouterr().out
    assert "left out:" in said
    assert "b.png" in said
    assert "the first 3 of 5 images are taken" in said
    with pytest.raises(DataError, match="the only image cannot be read"):
        vitrail.look(checkpoint, tmp_path / "b.png", out=tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("task", ["classify", "detect"])
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (2500, 60)])
def test_images_of_extreme_shapes_are_drawn(task: str, size: tuple[int, int], tmp_path: Path) -> None:
    checkpoint = untrained(tmp_path / "model", task)
    written = vitrail.look(checkpoint, image(7, size), out=tmp_path / "look")
    assert all(max(Image.open(path).size) < 4000 for path in written if path.suffix == ".png")


INSIDE = ("pixel", "compare")


@pytest.mark.parametrize(
    ("task", "model", "meant"),
    [
        ("classify", "vit_ti16", {"layers", "explain", *INSIDE}),
        ("classify", "swin_t", {"layers", "explain", *INSIDE}),
        ("classify", "bit_r50x1", {"explain", *INSIDE}),
        ("classify", "mae_vit_ti16", {"mask_ratio", "masking", "mask", "seeds", "layers", *INSIDE}),
        ("classify", "simmim_swin_t", {"mask_ratio", "seeds", "layers", *INSIDE}),
        ("detect", "vit_ti16", set()),
        ("segment", "swin_t", set()),
    ],
)
def test_every_option_is_drawn_or_refused(task: str, model: str, meant: set[str], tmp_path: Path) -> None:
    shape = {"depths": (1, 1, 1, 1)} if task == "segment" else {}
    checkpoint = untrained(tmp_path / "model", task, model, **shape)
    options: dict[str, Any] = {
        "layers": (0,),
        "pixel": (3, 4),
        "mask_ratio": (0.5,),
        "masking": ("block",),
        "mask": "0-3",
        "seeds": (1, 2),
        "compare": str(untrained(tmp_path / "other", seed=5)),
        "explain": "class 1",
    }
    for name, value in options.items():
        asked = {name: value, "out": tmp_path / name}
        if name in meant:
            vitrail.look(checkpoint, image(8), **asked)
        else:
            with pytest.raises(ConfigError, match=f"--{name.replace('_', '-')}"):
                vitrail.look(checkpoint, image(8), **asked)
            assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    "asked",
    [
        {"mask": "0-3", "seeds": (1,)},
        {"mask": "0-3", "mask_ratio": (0.5,)},
        {"mask": "0-3", "masking": ("block",)},
        {"masking": ("grid",), "seeds": (0, 1)},
        {"masking": ("grid",), "mask_ratio": (0.5,)},
        {"seeds": ()},
        {"seeds": (-1,)},
        {"seeds": (2**64,)},
        {"count": 0},
    ],
)
def test_options_of_masks_that_leave_each_other_without_effect_are_refused(
    asked: dict[str, Any], tmp_path: Path
) -> None:
    checkpoint = untrained(tmp_path / "model", model="mae_vit_ti16")
    with pytest.raises(VitrailError):
        vitrail.look(checkpoint, image(9), out=tmp_path / "look", **asked)


def test_names_of_any_kind_stay_text_on_the_page(tmp_path: Path) -> None:
    checkpoint = untrained(tmp_path / "<script>alert(1)</script>")
    description = json.loads((checkpoint / "config.json").read_text())
    description["class_names"] = ["<img src=x onerror=alert(1)>", 'a"b', "c" * 300]
    (checkpoint / "config.json").write_text(json.dumps(description))
    image(1).save(tmp_path / "'\"><script>.png")
    page = vitrail.look(checkpoint, tmp_path / "'\"><script>.png", out=tmp_path / "look")[-1].read_text()
    assert "<script" not in page
    assert "onerror=alert(1)>" not in page
    assert "://" not in page.replace("data:image", "")


def state() -> tuple[Any, ...]:
    """What a process has once, as something that can be compared."""
    return (
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),
        random.getstate(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
    )


def test_asking_a_model_changes_nothing_of_the_callers(classifier: Path, tmp_path: Path) -> None:
    random.seed(5)
    np.random.seed(6)
    torch.manual_seed(7)
    before = state()
    vitrail.predict(classifier, image(2))
    assert state() == before
    vitrail.look(classifier, count=1, out=tmp_path)
    assert state() == before
    vitrail.evaluate(str(classifier), "digits")
    assert state() == before
    with pytest.raises(VitrailError):
        vitrail.predict(classifier, "missing.png")
    assert state() == before


def test_the_tour_says_in_what_its_runs_differ_and_repeats_scratch_with_the_same_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tour"
    words = ["--labels", "20", "--pretrain-epochs", "0.1", "--train-epochs", "2", "--seed", "3", "--out", str(out)]
    assert main(["tour", *words]) == 0
    said = capsys.readouterr().out
    for name in ("from the pretrained encoder", "from scratch", "from scratch, with the recipe for fine-tuning"):
        assert name in said
    assert "the recipes for fine-tuning and for random weights differ: " in said
    assert "lr " in said
    tuned, same = (json.loads((out / name / "config.json").read_text()) for name in ("finetune", "scratch-same-recipe"))
    assert same["weights"] is None
    differing = {name for name in tuned if tuned[name] != same[name]}
    assert differing <= {"weights", "out"}
    page = (out / "report.html").read_text()
    assert "Recipes: the settings in which the runs differ" in page
    assert "Held-out images, and" not in page
