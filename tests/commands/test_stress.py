"""``vitrail stress``: any classifier, any labelled data, several models, what is wrong said in a sentence."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vitrail
from tests.commands.data_sets import class_folders, records
from tests.commands.foreign import timm_file
from tests.commands.untrained import untrained
from vitrail.cli import main
from vitrail.commands.stress import stress_test
from vitrail.data.imagenet import imagenet_ids
from vitrail.errors import ConfigError, DataError, Interrupted
from vitrail.stress.study import measure_all
from vitrail.stress.suite import GROUPS

CLASSES = ("class 0", "class 1", "class 2")


def quick(models, data: Path, out: Path, **settings):
    return stress_test(models, data, out=out, quick=True, device="cpu", **settings)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "data", records(2, CLASSES[:2]))


def test_a_page_and_its_figures_are_written_for_models_of_every_family(tmp_path: Path, data: Path) -> None:
    models = [untrained(tmp_path / name, model=name) for name in ("vit_ti16", "swin_t", "bit_r50x1")]
    study = quick(models, data, tmp_path / "out")
    assert [model.name for model in study.models] == ["vit_ti16", "swin_t", "bit_r50x1"]
    assert {curve.group for curve in study.models[0].curves} == set(GROUPS)
    assert study.models[0].curve("tokens_random") is not None
    assert study.models[1].curve("tokens_random") is None
    assert (study.images, study.classes, study.damaged) == (4, 2, ())
    kept = json.loads((tmp_path / "out" / "stress.json").read_text())
    assert kept["models"][0]["digest"] != kept["models"][2]["digest"]
    assert kept["images_digest"]
    assert kept["models"][2]["curves"][0]["points"][0]["accuracy"] == study.models[2].curves[0].points[0].accuracy
    page = (tmp_path / "out" / "stress.html").read_text()
    assert "<script" not in page
    assert "http" not in re.sub(r'src="data:[^"]*"', "", page).replace("http-equiv", "")
    assert page.count("data:image/") >= 10
    for heading in ("Occlusion", "Shuffled patches", "Shape against texture", "Common corruptions", "Area under"):
        assert heading in page
    assert "vitrail stress" in page


def test_the_same_call_gives_the_same_study_without_measuring_and_elsewhere_the_same_figures(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = untrained(tmp_path / "run")
    curves = ("shuffle", "texture")
    first = quick(model, data, tmp_path / "out", curves=curves)
    elsewhere = quick(model, data, tmp_path / "other", curves=curves)
    assert elsewhere.models == first.models
    monkeypatch.setattr("vitrail.stress.measure.answers_to", None)
    assert quick(model, data, tmp_path / "out", curves=curves).models == first.models


def test_what_is_interrupted_says_that_the_same_command_goes_on(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(measured) -> None:
        raise KeyboardInterrupt

    model = untrained(tmp_path / "run")
    with monkeypatch.context() as patched:
        patched.setattr("vitrail.commands.stress.measure_all", stop)
        with pytest.raises(Interrupted, match="the same command goes on"):
            quick(model, data, tmp_path / "out", curves=("shuffle",))
    assert measure_all is not stop
    assert quick(model, data, tmp_path / "out", curves=("shuffle",)).models[0].curve("shuffle") is not None


@pytest.mark.parametrize("classes", [2, 1000])
def test_a_foreign_file_of_two_or_a_thousand_classes_is_measured(tmp_path: Path, classes: int) -> None:
    file = timm_file(tmp_path / "vit.safetensors", classes)
    names = imagenet_ids()[300:303] if classes == 1000 else ("0", "1")
    data = class_folders(tmp_path / "data", records(1, names))
    study = quick(file, data, tmp_path / "out", curves=("occlusion", "texture"), precision="fp32")
    assert (study.images, study.classes) == (len(names), len(names))
    model = study.models[0]
    assert model.curve("tokens_salient") is not None
    predicted = vitrail.evaluate(file, data, device="cpu")
    assert model.clean[0] == predicted.top1


def test_one_image_a_class_a_missing_class_and_damaged_images_are_counted_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = class_folders(tmp_path / "data", records(1, CLASSES[:2]))
    (data / "class 0" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    study = quick(untrained(tmp_path / "run"), data, tmp_path / "out", curves=("texture", "shift"))
    assert study.images == 2
    assert len(study.damaged) == 1
    assert "torn.jpg" in study.damaged[0]
    assert "torn.jpg" in (tmp_path / "out" / "stress.html").read_text()
    assert study.models[0].conflict


def test_only_one_class_has_no_foreign_texture_and_only_damaged_images_are_refused(tmp_path: Path) -> None:
    model, data = untrained(tmp_path / "run"), class_folders(tmp_path / "data", records(2, CLASSES[:1]))
    study = quick(model, data, tmp_path / "out", curves=("texture",))
    assert study.models[0].conflict == ()
    assert study.models[0].curve("texture_smoothed") is not None
    for image in (data / "class 0").iterdir():
        image.write_bytes(b"BM no more")
    with pytest.raises(DataError, match="none of the 2 images"):
        quick(model, data, tmp_path / "other")
    next((data / "class 0").iterdir()).unlink()
    with pytest.raises(DataError, match=r"the only image of .* cannot be read: "):
        quick(model, data, tmp_path / "other")
    with pytest.raises(DataError, match=r"the only image of .* cannot be read: "):
        vitrail.evaluate(model, data, device="cpu")


def test_a_patch_is_tried_on_every_model_beside_a_random_one(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", records(4, CLASSES))
    models = [untrained(tmp_path / name, model=name) for name in ("vit_ti16", "bit_r50x1")]
    asked = {"curves": ("patch",), "patch_steps": 3, "patch_areas": (0.1, 0.2), "patch_target": "class 1"}
    study = quick(models, data, tmp_path / "out", **asked)
    assert len(study.patches) == 2 * 2 * 2 * 2  # models, areas, targets, models tried on
    assert {(one.trained_on, one.model) for one in study.patches if one.target} == {
        (a, b) for a in ("vit_ti16", "bit_r50x1") for b in ("vit_ti16", "bit_r50x1")
    }
    assert {one.images + one.learned_from for one in study.patches} == {12}
    assert (tmp_path / "out" / "stress.html").read_text().count("Adversarial patch") >= 2
    assert len(list((tmp_path / "out" / "patches").glob("*.png"))) == 8
    assert Image.open(tmp_path / "out" / "patches" / "vit_ti16-20-class_1.png").size == (14, 14)
    later = quick(models, data, tmp_path / "out", **{**asked, "curves": ("patch", "shuffle")})
    assert later.patches == study.patches
    with pytest.raises(ConfigError, match="'clas 1' is no class of vit_ti16; did you mean 'class 1'"):
        quick(models, data, tmp_path / "out", **{**asked, "patch_target": "clas 1"})


def test_conflicting_images_are_kept_with_both_classes(tmp_path: Path, data: Path) -> None:
    quick(untrained(tmp_path / "run"), data, tmp_path / "out", curves=("texture",), keep_conflicts=True)
    with (tmp_path / "out" / "conflicts" / "conflicts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    for row in rows:
        assert {row["shape"], row["texture"]} == set(CLASSES[:2])
        assert np.asarray(Image.open(tmp_path / "out" / "conflicts" / row["file"])).shape == (32, 32, 3)


IDLE = {
    "--patch-areas is for adversarial patches": {"patch_areas": (0.1,)},
    "--patch-target is for adversarial patches": {"patch_target": "class 1"},
    "--saliency says which patches": {"saliency": "rollout"},
    "--saliency-encoder says which patches": {"saliency_encoder": "RUN"},
    "--keep-conflicts is for textures": {"keep_conflicts": True},
}


@pytest.mark.parametrize("said", IDLE)
def test_an_option_that_would_change_nothing_is_refused(tmp_path: Path, data: Path, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        quick(tmp_path / "run", data, tmp_path / "out", curves=("shuffle",), **IDLE[said])


def test_an_encoder_may_say_what_matters_for_all_and_not_besides_a_method(tmp_path: Path, data: Path) -> None:
    model, teacher = untrained(tmp_path / "run"), untrained(tmp_path / "teacher", seed=5)
    own = quick(model, data, tmp_path / "out", curves=("occlusion",))
    study = quick(model, data, tmp_path / "out", curves=("occlusion",), saliency_encoder=str(teacher))
    assert "teacher" in study.models[0].saliency
    assert study.models[0].curve("occlusion_random") == own.models[0].curve("occlusion_random")
    with pytest.raises(ConfigError, match="give one of them"):
        quick(model, data, tmp_path / "out", saliency_encoder=str(teacher), saliency="rollout")
    with pytest.raises(ConfigError, match="there is no method 'rolout'"):
        quick(model, data, tmp_path / "out", saliency="rolout")


def test_what_is_no_classifier_is_refused(tmp_path: Path, data: Path) -> None:
    for task, name in (("segment", "vit_ti16"), ("classify", "mae_vit_ti16")):
        with pytest.raises(ConfigError, match="takes classifiers"):
            quick(untrained(tmp_path / name / task, task, name), data, tmp_path / "out")


def test_grey_models_are_measured_too(tmp_path: Path, data: Path) -> None:
    run = untrained(tmp_path / "run", channels=1)
    config = json.loads((run / "config.json").read_text())
    config["preprocessing"] |= {"channels": 1, "mean": [0.5], "std": [0.5]}
    (run / "config.json").write_text(json.dumps(config))
    study = quick(run, data, tmp_path / "out")
    assert {curve.group for curve in study.models[0].curves} == set(GROUPS)


def test_patches_that_are_kept_stay_on_the_page_when_other_curves_are_asked_for(tmp_path: Path) -> None:
    data = class_folders(tmp_path / "data", records(2, CLASSES))
    model = untrained(tmp_path / "run")
    first = quick(model, data, tmp_path / "out", curves=("patch",))
    assert len(first.patches) == 2
    assert quick(model, data, tmp_path / "out", curves=("shuffle",)).patches == first.patches
    assert quick(model, data, tmp_path / "other", curves=("shuffle",)).patches == ()


def test_the_command_measures_prints_and_says_what_is_next(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [str(untrained(tmp_path / name)) for name in ("one", "two")]
    words = ["stress", *models, str(data), "--quick", "--out", str(tmp_path / "out"), "--curves", "shuffle", "texture"]
    assert main([*words, "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "texture smoothed away" in said
    assert "one: " in said
    assert "two: " in said
    assert str(tmp_path / "out" / "stress.html") in said
    assert "--curves patch" in said
    assert main([*words, "--device", "cpu", "--json"]) == 0
    study = json.loads(capsys.readouterr().out)
    assert [model["name"] for model in study["models"]] == ["one", "two"]
    assert {one["curve"] for one in study["differences"]} >= {"shuffle", "texture_edges"}


def test_a_model_without_images_is_refused_in_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["RUN"]):
        assert main(["stress", *words]) == 2
        assert capsys.readouterr().err == (
            "vitrail: vitrail stress needs a model and images: vitrail stress MODEL DATA\n"
        )


def test_a_transformers_own_patches_are_occluded_for_every_model_and_said(tmp_path: Path, data: Path) -> None:
    vit = untrained(tmp_path / "vit", patch_size=16)
    study = quick([vit, untrained(tmp_path / "bit", model="bit_r50x1")], data, tmp_path / "out", curves=("occlusion",))
    assert [model.patches for model in study.models] == [(2, 2), None]
    for model in study.models:
        curve = model.curve("occlusion_random_grid2")
        assert [point.level for point in curve.points] == [0.0, 0.5, 0.9]
    levels = {one.curve for one in study.differences if one.level == 0.5}
    assert {"occlusion_random", "occlusion_random_grid2"} <= levels
    page = (tmp_path / "out" / "stress.html").read_text()
    assert "when half of the 2x2 patches are black" in page
    assert "when half of the cells of a 14x14 grid are black" in page
