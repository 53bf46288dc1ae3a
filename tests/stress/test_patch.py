"""The adversarial patch: where it lies, that it learns, that it goes on, and that it is measured on other images."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.stress.images import image
from tests.stress.models import chosen, stressed
from vitrail.errors import DataError
from vitrail.stress.answers import AnswerFile, Unit
from vitrail.stress.patch import PatchPlan, fitted, learned, new_patch, pasted, random_patch, stuck, train_patch
from vitrail.stress.patch_study import Contestant, divided, steps_done, trained_patch, tried_on
from vitrail.stress.randomness import draws

PLAN = PatchPlan(0.2, None, 12, batch_size=4)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_patch_is_pasted_whole_at_a_place_of_the_images_own(seed: int) -> None:
    shown = image(12, 10)
    patch = random_patch(5, 3, 3)
    random = draws(shown.identity, "patch place", seed)
    top, left = random.randint(8), random.randint(6)
    expected = shown.pixels.copy()
    for y in range(5):
        for x in range(5):
            expected[:, top + y, left + x] = patch[:, y, x]
    np.testing.assert_array_equal(pasted(shown, patch, seed), expected)
    assert (pasted(shown, random_patch(5, 3, 4), seed) != shown.pixels).any(axis=0).sum() == 25


def test_the_side_is_that_of_the_area() -> None:
    assert PatchPlan(0.1, None, 1).side((224, 224)) == 71
    assert PatchPlan(0.05, None, 1).side((32, 32)) == 7
    assert fitted(random_patch(7, 3, 1), 14).shape == (3, 14, 14)
    np.testing.assert_array_equal(fitted(random_patch(7, 3, 1), 7), random_patch(7, 3, 1))


def test_a_stuck_patch_lies_turned_scaled_and_lit_as_its_pose_says() -> None:
    size, side = (20, 24), 8
    base = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(3))
    patch = torch.rand(3, side, side, generator=torch.Generator().manual_seed(4))
    down, right, turn, scale, light = 0.25, 0.75, 0.3, 1.1, 0.2
    found = stuck(base, patch, torch.tensor([[down, right, turn, scale, light]]), size)[0]
    middle_y, middle_x = down * (20 - side) + side / 2, right * (24 - side) + side / 2
    inside = 0
    for y in range(20):
        for x in range(24):
            dy, dx = y + 0.5 - middle_y, x + 0.5 - middle_x
            v = (-math.sin(turn) * dx + math.cos(turn) * dy) / scale + side / 2 - 0.5
            u = (math.cos(turn) * dx + math.sin(turn) * dy) / scale + side / 2 - 0.5
            if max(abs(u - side / 2 + 0.5), abs(v - side / 2 + 0.5)) > side / 2:
                assert torch.equal(found[:, y, x], base[0, :, y, x])
                continue
            inside += 1
            u, v = min(max(u, 0), side - 1), min(max(v, 0), side - 1)
            expected = torch.zeros(3)
            for row in (math.floor(v), min(math.floor(v) + 1, side - 1)):
                for column in (math.floor(u), min(math.floor(u) + 1, side - 1)):
                    share = (1 - abs(v - row)) * (1 - abs(u - column))
                    expected += max(0.0, share) * (patch[:, row, column] + light).clamp(0, 1)
            if v < side - 1 and u < side - 1:
                torch.testing.assert_close(found[:, y, x], expected, rtol=1e-4, atol=1e-4)
    assert inside == pytest.approx((side * scale) ** 2, rel=0.08)


def test_an_upright_patch_in_training_is_the_pasted_one() -> None:
    base, patch = torch.rand(1, 3, 12, 10), torch.rand(3, 4, 4)
    found = stuck(base, patch, torch.tensor([[0.5, 0.5, 0.0, 1.0, 0.0]]), (12, 10))[0]
    torch.testing.assert_close(found[:, 4:8, 3:7], patch, rtol=1e-4, atol=1e-4)
    rest = torch.ones(12, 10, dtype=torch.bool)
    rest[4:8, 3:7] = False
    assert torch.equal(found[:, rest], base[0][:, rest])


def mean_loss(model, images, patch: np.ndarray, target: int | None) -> float:
    pixels = np.stack([pasted(one, patch, 5) for one in images])
    labels = torch.tensor([one.label if target is None else target for one in images])
    return float(torch.nn.functional.cross_entropy(model.logits(pixels), labels))


@pytest.mark.parametrize("target", [None, 2])
def test_a_patch_learns_to_mislead_or_to_bring_up_its_class(tmp_path: Path, target: int | None) -> None:
    model = stressed(tmp_path)
    with torch.no_grad():
        model.predictor.model.head.weight.mul_(30)
    images = chosen(model, 12).read(range(12))
    plan = dataclasses.replace(PLAN, target=target, steps=40)
    weights = {name: tensor.clone() for name, tensor in model.predictor.model.state_dict().items()}
    before = mean_loss(model, images, learned(new_patch(plan, model.size, 3)), target)
    after = mean_loss(model, images, learned(train_patch(model, images, plan)), target)
    assert after < before - 0.1 if target is not None else after > before + 0.1
    for name, tensor in model.predictor.model.state_dict().items():
        assert torch.equal(tensor, weights[name])
    assert all(parameter.requires_grad for parameter in model.predictor.model.parameters())
    assert not model.predictor.module.training


def contestant(folder: Path, model) -> Contestant:
    return Contestant(model, chosen(model, 10), AnswerFile(folder / "answers.jsonl", {}), 4)


def test_a_patch_that_was_interrupted_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    model = stressed(tmp_path)
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    whole = trained_patch(contestant(one, model), PLAN, one, lambda state: None)

    def stop(state) -> None:
        if state.step == 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained_patch(contestant(other, model), PLAN, other, stop)
    assert steps_done(contestant(other, model), PLAN, other) == 10
    steps = []
    again = trained_patch(contestant(other, model), PLAN, other, lambda state: steps.append(state.step))
    np.testing.assert_array_equal(again, whole)
    assert steps == [11, 12]
    assert all(parameter.requires_grad for parameter in model.predictor.model.parameters())


def test_a_patch_is_measured_on_images_it_has_not_learned_from(tmp_path: Path) -> None:
    model = stressed(tmp_path)
    ready = contestant(tmp_path, model)
    learning, measured = divided(ready.images)
    assert sorted(learning + measured) == list(range(10))
    assert len(learning) == 8
    patch = random_patch(PLAN.side(model.size), 3, 77)
    figures = tried_on(ready, patch, dataclasses.replace(PLAN, target=1), "small", "class 1")
    images = ready.images.read(measured)
    labels = [one.label for one in images]
    right, hits = [], []
    for seed in (0, 1):
        said = model.logits(np.stack([pasted(one, patch, seed) for one in images])).argmax(dim=1).tolist()
        right += [answer == label for answer, label in zip(said, labels, strict=True)]
        hits += [answer == 1 for answer, label in zip(said, labels, strict=True) if label != 1]
    assert (figures.images, figures.learned_from) == (2, 8)
    assert figures.adversarial[0] == sum(right) / len(right)
    assert figures.hit[0] == sum(hits) / len(hits)
    clean = model.logits(np.stack([one.pixels for one in images])).argmax(dim=1).tolist()
    assert figures.clean[0] == sum(a == b for a, b in zip(clean, labels, strict=True)) / 2
    assert Unit("clean", 0.0, 0, 0) in ready.file


def test_one_image_is_too_few_for_a_patch(tmp_path: Path) -> None:
    model = stressed(tmp_path)
    with pytest.raises(DataError, match="1 is too few"):
        divided(chosen(model, 1))
