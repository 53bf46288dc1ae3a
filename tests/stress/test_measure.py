"""What is measured: without a change the clean evaluation bit for bit, and the same in any batch and after any end."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.stress.models import chosen, labelled, stressed
from vitrail.errors import DataError
from vitrail.stress.answers import AnswerFile, Answers, Unit
from vitrail.stress.chosen import choose_images
from vitrail.stress.curves import Curve
from vitrail.stress.figures import figures_of
from vitrail.stress.measure import Measurement, Variant, answers_to, units_of
from vitrail.stress.saliency import best_method, saliency_by_encoder, saliency_of
from vitrail.stress.study import Entrant, StudyPlan, curve_figures, measure_all, prepare
from vitrail.stress.suite import GROUPS, Suited, curves_of

SUITED = Suited((32, 32), (4, 4), True, True, quick=True, seeds=2)
CURVES = {curve.name: curve for curve in curves_of(tuple(GROUPS), SUITED)}
PLAN = StudyPlan(("occlusion", "shuffle", "texture"), quick=True, batch_size=4)


def same(one: Answers, other: Answers) -> bool:
    return np.array_equal(one.predicted, other.predicted) and np.array_equal(one.probability, other.probability)


@pytest.mark.parametrize("name", [name for name, curve in CURVES.items() if curve.change is not None])
def test_a_change_of_nothing_is_the_clean_evaluation_bit_for_bit(tmp_path: Path, name: str) -> None:
    model = stressed(tmp_path)
    images = chosen(model)
    ready = images.with_partners(saliency_of(model).put_on(images.read(range(9))), range(9), 0)
    clean = answers_to(model, ready, None, 4)
    curve = CURVES[name]
    assert same(answers_to(model, ready, Variant(curve, curve.clean, 1), 4), clean)


def test_clean_answers_are_those_of_the_predictor(tmp_path: Path) -> None:
    model = stressed(tmp_path)
    images = chosen(model)
    answers = answers_to(model, images.read(range(9)), None, 32)
    said = model.predictor(list(images.images.items))
    for place, one in enumerate(said):
        assert answers.predicted[place] == one.probabilities.argmax()
        assert answers.probability[place] == pytest.approx(float(one.probabilities[images.labels[place]]), abs=1e-6)


@pytest.mark.parametrize("pool", ["class", "mean"])
@pytest.mark.parametrize("order", ["random", "salient", "non_salient"])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_removing_tokens_is_the_model_on_the_shorter_sequence(
    tmp_path: Path, pool: str, order: str, share: float
) -> None:
    model = stressed(tmp_path, pool=pool)
    images = saliency_of(model).put_on(chosen(model).read(range(5)))
    curve = CURVES[f"tokens_{order}"]
    answers = answers_to(model, images, Variant(curve, share, 1), 5)
    classifier, backbone = model.predictor.model, model.backbone
    for place, image in enumerate(images):
        kept = torch.from_numpy(curve.kept(image, share, 1))
        assert len(kept) == 16 - round(16 * share)
        pixels = model.predictor.module.normalise(torch.from_numpy(image.pixels)[None])
        with torch.no_grad():
            tokens = backbone.tokens(pixels)
            short = torch.cat([tokens[:, :1], tokens[:, 1:][:, kept]], dim=1)
            for block in backbone.blocks:
                short = block(short)
            logits = classifier.head(backbone.pool(backbone.norm(short)))[0]
        assert short.shape[1] == 1 + len(kept)
        probability = logits.double().softmax(dim=0)[image.label]
        assert answers.probability[place] == pytest.approx(float(probability), abs=1e-6)


def test_keeping_every_token_is_the_whole_model(tmp_path: Path) -> None:
    model = stressed(tmp_path)
    images = chosen(model).read(range(5))
    pixels = np.stack([image.pixels for image in images])
    kept = np.tile(np.arange(16), (5, 1))
    torch.testing.assert_close(model.logits_of_kept(pixels, kept), model.logits(pixels), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["occlusion_random", "shuffle", "texture_stylised", "corruption_snow"])
def test_an_image_is_changed_alike_in_any_order_and_any_company(tmp_path: Path, name: str) -> None:
    model, curve = stressed(tmp_path), CURVES[name]
    preprocessing = model.predictor.description.preprocessing
    forth, back = labelled(9), labelled(9).subset(range(8, -1, -1))
    images = [choose_images(one, preprocessing, 0, "test") for one in (forth, back)]
    ready = [one.with_partners(one.read(range(9)), range(9), 1) for one in images]
    level = curve.levels[-2]
    by_identity = [{image.identity: curve.changed(image, level, 1) for image in part} for part in ready]
    assert by_identity[0].keys() == by_identity[1].keys()
    for identity, changed in by_identity[0].items():
        np.testing.assert_array_equal(changed, by_identity[1][identity])


def measured(model, folder: Path):
    folder.mkdir(exist_ok=True)
    return prepare(Entrant(model, chosen(model)), PLAN, folder)


@pytest.mark.parametrize("model", ["vit_ti16", "swin_t", "bit_r50x1"])
def test_what_is_interrupted_anywhere_goes_on_and_ends_the_same(tmp_path: Path, model: str) -> None:
    stressed_model = stressed(tmp_path, model)
    whole = measured(stressed_model, tmp_path / "whole")
    measure_all([whole])
    lines = whole.file.path.read_bytes().splitlines(keepends=True)
    cut = measured(stressed_model, tmp_path / "cut")
    cut.file.close()
    cut.file.path.write_bytes(b"".join(lines[:7]) + lines[7][: len(lines[7]) // 2])
    again = measured(stressed_model, tmp_path / "cut")
    assert len(again.file) == 6
    measure_all([again])
    assert again.file.path.read_bytes() == whole.file.path.read_bytes()
    assert curve_figures([again]) == curve_figures([whole])


def test_what_is_measured_is_not_measured_again_and_stays_on_the_page(tmp_path: Path, monkeypatch) -> None:
    model = stressed(tmp_path)
    first = measured(model, tmp_path / "out")
    measure_all([first])
    monkeypatch.setattr("vitrail.stress.measure.answers_to", None)
    other = dataclasses.replace(PLAN, groups=("shuffle",))
    again = prepare(Entrant(model, chosen(model)), other, tmp_path / "out")
    measure_all([again])
    assert curve_figures([again]) == curve_figures([first])


@pytest.mark.parametrize("what", ["weights", "images", "labels", "batch"])
def test_answers_of_other_weights_images_or_batches_are_never_taken(tmp_path: Path, what: str) -> None:
    model = stressed(tmp_path)
    first = measured(model, tmp_path / "out")
    plan, images = PLAN, chosen(model)
    if what == "weights":
        with torch.no_grad():
            model.predictor.model.head.bias[0] += 1e-3
        model = dataclasses.replace(model)
    if what == "images":
        images = chosen(model, 8)
    if what == "labels":
        images = dataclasses.replace(images, images=dataclasses.replace(images.images, labels=(0,) * 8 + (1,)))
    if what == "batch":
        plan = dataclasses.replace(plan, batch_size=5)
    assert prepare(Entrant(model, images), plan, tmp_path / "out").file.path != first.file.path


def test_an_answer_file_about_something_else_or_damaged_is_refused_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    file = AnswerFile(path, {"model": "a"})
    file.add(Unit("x", 0.5, 1, 0), Answers(np.array([1, 2]), np.array([0.25, 1e-9])))
    file.close()
    kept = AnswerFile(path, {"model": "a"})[Unit("x", 0.5, 1, 0)]
    assert kept.predicted.tolist() == [1, 2]
    assert kept.probability.tolist() == [0.25, 0.0]
    with pytest.raises(DataError, match="holds answers to something else"):
        AnswerFile(path, {"model": "b"})
    path.write_bytes(path.read_bytes() + b'{"curve": 1}\n')
    with pytest.raises(DataError, match="is damaged"):
        AnswerFile(path, {"model": "a"})


def test_figures_are_the_means_of_the_answers(tmp_path: Path) -> None:
    model = stressed(tmp_path)
    ready = measured(model, tmp_path / "out")
    measure_all([ready])
    labels = np.array(ready.measurement.images.labels)
    figures = figures_of(ready.measurement, ready.file)
    curve = next(curve for curve in ready.measurement.curves if curve.name == "texture_stylised")
    found = figures.curve(curve.name)
    partners = [ready.measurement.images.partners(seed) for seed in range(2)]
    clean = ready.file[Unit("clean", 0.0, 0, 0)].predicted
    accuracies = []
    for level, point, conflict in zip(curve.levels, found.points, figures.conflict, strict=True):
        answers = [
            clean if level == 0.0 else ready.file[Unit(curve.key, level, seed, 0)].predicted for seed in range(2)
        ]
        right = [answer[n] == labels[n] for answer in answers for n in range(9)]
        texture = [answers[seed][n] == labels[partners[seed][n]] for seed in range(2) for n in range(9)]
        accuracies.append(sum(right) / 18)
        assert point.accuracy == conflict.shape[0] == pytest.approx(sum(right) / 18)
        assert conflict.texture[0] == pytest.approx(sum(texture) / 18)
        assert point.same == pytest.approx(np.mean([answer == clean for answer in answers]))
        if sum(right) + sum(texture):
            assert conflict.bias == pytest.approx(sum(right) / (sum(right) + sum(texture)))
    area = sum((a + b) / 2 * 0.5 for a, b in itertools.pairwise(accuracies))
    assert found.area == pytest.approx(area)
    assert found.area_low <= found.area <= found.area_high


def test_the_mean_of_the_corruptions_is_that_of_their_curves(tmp_path: Path) -> None:
    model = stressed(tmp_path)
    curves = [curve for curve in CURVES.values() if curve.group == "corruptions"][:4]
    ready = Measurement(model, chosen(model), curves, None, 8)
    file = AnswerFile(tmp_path / "answers.jsonl", {})
    ready.run(file, lambda unit: None)
    figures = figures_of(ready, file)
    mean = figures.curve("corruption_mean")
    for place, point in enumerate(mean.points):
        accuracies = [figures.curve(curve.name).points[place].accuracy for curve in curves]
        assert point.accuracy == pytest.approx(np.mean(accuracies))


def test_large_sets_are_measured_in_parts_with_the_same_answers(tmp_path: Path, monkeypatch) -> None:
    model, curve = stressed(tmp_path), CURVES["texture_stylised"]
    images = chosen(model)
    whole = Measurement(model, images, [curve], None, 3)
    one, other = AnswerFile(tmp_path / "one", {}), AnswerFile(tmp_path / "other", {})
    whole.run(one, lambda unit: None)
    monkeypatch.setattr("vitrail.stress.chosen.PART", 6)
    whole.run(other, lambda unit: None)
    assert len(images.parts) == 2
    for unit in units_of(curve, 0):
        parts = Answers.joined([other[dataclasses.replace(unit, part=part)] for part in (0, 1)])
        assert same(parts, one[unit])


def test_without_attention_grad_cam_says_what_matters_where_its_map_has_places(tmp_path: Path) -> None:
    backbone = stressed(tmp_path, "bit_r50x1").backbone
    assert best_method(backbone, (33, 20)) == "grad-cam"
    assert best_method(backbone, (32, 32)) == "leave-one-out", "a single place says nothing"


def test_what_matters_is_said_by_attention_by_removal_or_by_another_encoder(tmp_path: Path) -> None:
    for number, (name, words) in enumerate(
        (("vit_ti16", "attention"), ("swin_t", "rollout"), ("bit_r50x1", "leave-one-out"))
    ):
        model = stressed(tmp_path, name, str(number))
        saliency = saliency_of(model)
        assert f"({words})" in saliency.words
        together = saliency.put_on(chosen(model).read(range(3)))
        alone = [saliency.put_on([image])[0] for image in together]
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_allclose(one.saliency, other.saliency, rtol=1e-3, atol=1e-6)
    teacher = stressed(tmp_path, name="teacher", seed=8)
    by_teacher = saliency_by_encoder(teacher.predictor.model, teacher.predictor.module.normalise, "teacher")
    images = chosen(teacher).read(range(2))
    pixels = teacher.predictor.module.normalise(torch.from_numpy(np.stack([image.pixels for image in images])))
    with torch.no_grad():
        tokens = teacher.backbone.tokens(pixels)
        *before, last = teacher.backbone.blocks
        for block in before:
            tokens = block(tokens)
        qkv = last.attn.qkv(last.norm1(tokens)).unflatten(2, (3, 2, 12)).permute(2, 0, 3, 1, 4)
        weights = (qkv[0] @ qkv[1].transpose(-2, -1) * 12**-0.5).softmax(dim=-1)
    expected = weights[:, :, 0, 1:].mean(dim=1).reshape(2, 4, 4)
    for image, one in zip(by_teacher.put_on(images), expected, strict=True):
        np.testing.assert_allclose(image.saliency, one.numpy(), rtol=1e-4, atol=1e-6)


def test_curves_have_names_of_their_own_and_a_clean_level_each() -> None:
    for quick in (False, True):
        for size in ((224, 224), (32, 48), (8, 8)):
            curves = curves_of(tuple(GROUPS), Suited(size, (4, 4), True, True, quick))
            assert len({curve.name for curve in curves}) == len(curves)
            for curve in curves:
                assert curve.clean in curve.levels
                assert list(curve.levels) == sorted(set(curve.levels))
    full = {curve.name: curve for curve in curves_of(tuple(GROUPS), Suited((224, 224), (14, 14), True, True))}
    assert full["shuffle"].levels == (1, 2, 4, 7, 8, 14, 16)
    assert full["shift_translation"].levels[-1] == 31
    assert {"occlusion_random_grid4", "occlusion_random_grid8", "occlusion_random_grid16"} <= set(full)
    assert sum(curve.group == "corruptions" for curve in full.values()) == 15
    assert not any(name.startswith("tokens") for name in names_of(Suited((224, 224), None, False, True)))
    own = Suited((224, 224), (14, 14), True, True, patch_grids=((14, 14), (7, 7), (6, 8)))
    more = set(names_of(own)) - set(names_of(dataclasses.replace(own, patch_grids=())))
    assert more == {"occlusion_random_grid7", "occlusion_random_grid6x8"}
    assert "texture_stylised" not in names_of(Suited((224, 224), None, False, False))
    without_class_token = curves_of(("occlusion",), Suited((32, 32), (4, 4), False, True))
    assert max(level for curve in without_class_token if curve.keep for level in curve.levels) == 0.9


def names_of(suited: Suited) -> list[str]:
    return [curve.name for curve in curves_of(tuple(GROUPS), suited)]


def test_no_curve_is_left_without_seeds() -> None:
    assert all(isinstance(curve, Curve) and curve.seeds >= 1 for curve in CURVES.values())


def test_what_an_encoder_says_is_measured_anew_when_its_weights_are_others_under_the_same_name(tmp_path: Path) -> None:
    teacher = stressed(tmp_path, name="teacher", seed=8)
    normalise = teacher.predictor.module.normalise
    before = saliency_by_encoder(teacher.predictor.model, normalise, "teacher").key
    with torch.no_grad():
        teacher.backbone.blocks[0].attn.qkv.bias[0] += 1e-4
    assert saliency_by_encoder(teacher.predictor.model, normalise, "teacher").key != before
