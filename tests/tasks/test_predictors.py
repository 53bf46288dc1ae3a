"""A predictor says of an image what the command says of it, whatever else is asked about in the same call."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import vitrail
from tests.commands.untrained import untrained
from vitrail.errors import ConfigError, DataError
from vitrail.tasks.predictor import Predictor
from vitrail.tasks.registry import task_of
from vitrail.training.runtime import Runtime
from vitrail.weights.checkpoint import open_checkpoint

SIZES = ((40, 32), (32, 32), (57, 43))
MODELS = {"classify": "vit_ti16", "detect": "vit_ti16", "segment": "swin_t"}


def image_of(width: int, height: int) -> Image.Image:
    random = np.random.RandomState(width * height)
    return Image.fromarray(random.randint(0, 256, (height, width, 3)).astype(np.uint8))


IMAGES = [image_of(*size) for size in SIZES]


def predictor_of(folder: Path, task: str) -> Predictor[Any]:
    model, description = open_checkpoint(untrained(folder / "run", task, MODELS[task]))
    return task_of(description).predictor(model, description, Runtime.named("cpu", "fp32"))


def numbers(result: Any) -> Any:
    return json.loads(json.dumps(result.to_dict()))


@pytest.mark.parametrize("task", MODELS)
def test_an_image_has_the_same_result_whatever_the_batch_and_whatever_its_size(tmp_path: Path, task: str) -> None:
    predict = predictor_of(tmp_path, task)
    together = predict(IMAGES)
    alone = [predict([image])[0] for image in IMAGES]
    backwards = predict(IMAGES[::-1])[::-1]
    assert len(together) == len(IMAGES)
    for one, other, third in zip(together, alone, backwards, strict=True):
        if task == "classify":  # matrix products of other sizes may round otherwise
            torch.testing.assert_close(one.probabilities, other.probabilities, rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(one.probabilities, third.probabilities, rtol=1e-5, atol=1e-6)
        else:
            assert numbers(one) == numbers(other) == numbers(third)
        assert "<table>" in one._repr_html_()


@pytest.mark.parametrize("task", MODELS)
def test_no_images_have_no_results(tmp_path: Path, task: str) -> None:
    assert predictor_of(tmp_path, task)([]) == []


def test_a_model_in_python_says_what_the_command_says(tmp_path: Path) -> None:
    run = untrained(tmp_path / "run")
    model = vitrail.open_model(run, device="cpu")
    result = model.predict(IMAGES[0])
    (said,) = vitrail.predict(run, IMAGES[0], device="cpu", precision="fp32")
    assert result.top(3) == said.classes
    assert (result.label, result.probability) == (said.label, said.probability)
    assert result.probabilities.sum() == pytest.approx(1)
    assert [one.label for one in model.predict(IMAGES)] == [one.label for one in vitrail.predict(run, IMAGES)]


def test_a_model_in_python_embeds_preprocesses_and_shows_attention(tmp_path: Path) -> None:
    model = vitrail.open_model(untrained(tmp_path / "run"), device="cpu")
    vectors = model.embed(IMAGES)
    assert vectors.shape == (3, 24)
    torch.testing.assert_close(model.embed(IMAGES[1])[0], vectors[1], rtol=1e-4, atol=1e-5)
    assert model.preprocess(IMAGES[2]).shape == (3, 32, 32)
    maps = model.attention(IMAGES[0])
    assert (maps.rollout.shape, maps.heads.shape) == ((1, 4, 4), (1, 2, 4, 4))
    with pytest.raises(DataError, match="3 images"):
        model.preprocess(IMAGES)


def test_an_encoder_pretrained_without_labels_embeds_but_predicts_nothing(tmp_path: Path) -> None:
    model = vitrail.open_model(untrained(tmp_path / "run", model="mae_vit_ti16"), device="cpu")
    assert model.embed(IMAGES[0]).shape == (1, 24)
    with pytest.raises(ConfigError, match="knows no classes"):
        model.predict(IMAGES[0])
