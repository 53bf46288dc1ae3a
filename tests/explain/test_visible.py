"""Maps of a ViT of which patches were taken out, against the naive ViT run on the patches that are left."""

import numpy as np
import pytest
import torch

from tests.explain.naive import NaiveViT, classifier, noise, slope
from tests.explain.test_attention_gradients import through
from vitrail.errors import ConfigError
from vitrail.explain.attention_gradients import class_relevance
from vitrail.explain.grad_cam import grad_cam
from vitrail.explain.patch_tokens import patch_tokens
from vitrail.explain.record import record_attention
from vitrail.explain.rollout import attention_maps
from vitrail.explain.target import Target
from vitrail.explain.visible import VisibleClassifier, VisiblePatches, spread_out

LEFT = [0, 2, 3, 5]
VISIBLE = torch.tensor(LEFT)
ROTARY = {"image_size": (32, 48), "patch_size": 8, "width": 24, "depth": 2, "num_heads": 2, "registers": 1}


@pytest.mark.parametrize("pool", ["class", "mean"])
def test_the_answer_is_that_of_the_shorter_sequence(pool):
    model, images = classifier(pool=pool), noise(2, 8, 12)
    found = VisibleClassifier(model, VISIBLE)(images).detach()
    for number in range(2):
        expected = NaiveViT(model).logits(images[number].numpy(), LEFT)
        assert found[number].numpy() == pytest.approx(expected, abs=1e-9)


def test_attention_is_recorded_of_the_tokens_that_are_left():
    model, images = classifier(), noise(1, 8, 12)
    short, naive = VisiblePatches(model.backbone, VISIBLE), NaiveViT(model)
    with record_attention(short) as recorded, torch.no_grad():
        short(images)
    tokens = naive.tokens(images[0].numpy(), LEFT)
    for block in range(2):
        tokens, weights = naive.block(tokens, block)
        assert recorded[block][0].numpy() == pytest.approx(weights, abs=1e-6)


@pytest.mark.parametrize("pool", ["class", "mean"])
def test_relevance_is_the_papers_product_over_the_tokens_that_are_left(pool):
    model, images = classifier(pool=pool), noise(1, 8, 12)
    found = class_relevance(VisibleClassifier(model, VISIBLE), images, Target(torch.tensor([1])))
    naive, image = NaiveViT(model), images[0].numpy()
    tokens, matrices = naive.tokens(image, LEFT), []
    for block in range(2):
        tokens, weights = naive.block(tokens, block)
        gradient = slope(lambda added, b=block: naive.logits(image, LEFT, {b: added})[1], (2, 5, 5))
        matrices.append(np.maximum(weights * gradient, 0).mean(axis=0))
    relevance = through(matrices)
    expected = relevance[0, 1:] if pool == "class" else (relevance - np.eye(5))[1:, 1:].mean(axis=0)
    assert found.flatten().numpy() == pytest.approx(expected, abs=1e-6)
    assert found.max() > 1e-3


def test_grad_cam_is_of_the_tokens_that_are_left():
    model, images = classifier(), noise(1, 8, 12)
    found = grad_cam(VisibleClassifier(model, VISIBLE), images, Target(torch.tensor([2])))
    naive = NaiveViT(model)
    tokens, _ = naive.block(naive.tokens(images[0].numpy(), LEFT), 0)

    def score(added):
        disturbed = tokens.copy()
        disturbed[1:] += added
        return naive.answer(naive.block(disturbed, 1)[0])[2]

    weights = slope(score, (4, 8)).mean(axis=0)
    expected = [max(0.0, float(weights @ tokens[1 + place])) for place in range(4)]
    assert found.flatten().numpy() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "options"), [("dinov3_vit_s16", ROTARY), ("beit_b16", {**ROTARY, "registers": 0}), ("vit_ti16", {})]
)
def test_with_every_patch_left_all_maps_are_those_of_the_whole_model(name, options):
    model = classifier(name, **options) if options else classifier()
    height, width = model.backbone.config.image_size
    images = noise(1, height, width)
    grid = model.backbone.token_grid(height, width)
    every = torch.arange(grid[0] * grid[1])
    short, target = VisibleClassifier(model, every), Target(torch.tensor([1]))

    def same(found, whole):
        torch.testing.assert_close(spread_out(found, every, grid), whole, rtol=1e-5, atol=1e-6)

    same(patch_tokens(short.backbone, images), patch_tokens(model, images))
    same(attention_maps(short.backbone, images).rollout, attention_maps(model, images).rollout)
    same(class_relevance(short, images, target), class_relevance(model, images, target))
    same(grad_cam(short, images, target), grad_cam(model, images, target))


def test_a_rotary_model_keeps_the_places_of_the_patches_that_are_left():
    model = classifier("dinov3_vit_s16", **ROTARY)
    images = noise(1, 32, 48)
    visible = torch.tensor([1, 4, 7, 8, 20])
    with torch.no_grad():
        expected = model.score(model.backbone.head_input_visible(images, visible.view(1, 1, -1))[0])
        found = VisibleClassifier(model, visible)(images)
    torch.testing.assert_close(found, expected)


def test_places_that_are_not_there_are_not_numbers():
    found = spread_out(torch.tensor([[1.0, 2.0]]), torch.tensor([1, 3]), (2, 2))
    assert found.isnan().tolist() == [[True, False], [True, False]]
    assert found[:, 1].tolist() == [1.0, 2.0]


def test_a_model_without_patches_that_can_be_taken_out_refuses():
    model = classifier("bit_r50x1", image_size=48, depths=(1, 1))
    with pytest.raises(ConfigError, match="fill them instead"):
        VisibleClassifier(model, VISIBLE)(noise(1, 48, 48))
