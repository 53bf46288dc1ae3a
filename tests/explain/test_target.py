"""What is explained: a class, the one predicted, or what sets one above another."""

import pytest
import torch

from tests.explain.naive import classifier, noise
from vitrail.errors import ConfigError
from vitrail.explain.target import Target, predicted_classes, target_of


def test_scores_of_a_class_and_between_two():
    logits = torch.tensor([[1.0, 3.0, 0.5], [0.0, -1.0, 2.0]])
    alone, between = Target(torch.tensor([1, 2])), Target(torch.tensor([1, 2]), torch.tensor([0, 0]))
    assert alone.score(logits).tolist() == [3.0, 2.0]
    assert alone.score(logits, "probability").tolist() == pytest.approx(
        [float(logits[0].softmax(0)[1]), float(logits[1].softmax(0)[2])]
    )
    assert between.score(logits).tolist() == between.score(logits, "log_probability").tolist() == [2.0, 2.0]
    pair = logits[0, :2].softmax(0)[1]
    assert float(between.score(logits, "probability")[0]) == pytest.approx(float(pair))
    variants = torch.stack([logits, logits + 1], dim=1)
    assert torch.equal(alone.score(variants), torch.tensor([[3.0, 4.0], [2.0, 3.0]]))


def test_classes_are_predicted_or_chosen_one_for_all_or_one_for_each():
    model, images = classifier(), noise(40, 8, 12)
    with torch.no_grad():
        model.head.bias -= model(images).mean(dim=0)
        expected = model(images).argmax(dim=1)
    assert len(expected.unique()) > 1
    assert torch.equal(predicted_classes(model, images), expected)
    assert torch.equal(target_of(model, images).classes, expected)
    assert target_of(model, images[:3], [1]).classes.tolist() == [1, 1, 1]
    chosen = target_of(model, images[:2], [1, 0], [2])
    assert (chosen.classes.tolist(), chosen.against.tolist()) == ([1, 0], [2, 2])


def test_classes_that_do_not_exist_or_are_the_same_are_refused():
    model, images = classifier(), noise(2, 8, 12)
    with pytest.raises(ConfigError, match="no class 3; this model's classes go from 0 to 2"):
        target_of(model, images, [3])
    with pytest.raises(ConfigError, match="3 classes for 2 images"):
        target_of(model, images, [1, 1, 1])
    with pytest.raises(ConfigError, match="class 1 cannot be set against itself"):
        target_of(model, images, [0, 1], [1])
